"""feature-extraction: how well the cosine of two texts' vectors follows people's scores of their likeness.

So SentEval (Conneau and Kiela, LREC 2018, https://arxiv.org/abs/1803.05449) and MTEB measure semantic textual
similarity. ``flipped`` is the share of pairs that change their order; see :func:`.correlation.score`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bertmobile.manifest import Manifest
from bertmobile.tasks.feature_extraction import FeatureExtraction
from bertmobile_bench.accuracy import correlation
from bertmobile_bench.accuracy.both import Both
from bertmobile_bench.accuracy.data.files import DataSet
from bertmobile_bench.accuracy.data.labels import number
from bertmobile_bench.accuracy.data.texts import Example, read_texts
from bertmobile_bench.accuracy.task import Findings


def measures(manifest: Manifest) -> tuple[str, ...]:
    """Ranks first: a cosine has no scale of its own."""
    return ("spearman", "pearson")


def read(path: Path, manifest: Manifest, limit: int | None) -> DataSet[Example]:
    """Pairs of texts with a number that says how alike they are."""
    return read_texts(path, number, pairs=True, limit=limit)


def score(both: Both, examples: Sequence[Example], measures: tuple[str, ...]) -> Findings:
    """The cosines of all pairs with both models."""

    def answer(task: FeatureExtraction, example: Example) -> float:
        assert example.pair is not None
        first, second = task.embed([example.text, example.pair]).astype(np.float64)
        return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))

    embedding = both.model.manifest.embedding
    prompt = embedding.default_text if embedding else ""
    cut = sum(
        both.cut([(prompt + text, None, example.place) for text in (example.text, example.pair or "")]) > 0
        for example in examples
    )
    answers = both.ask(FeatureExtraction, answer, examples)
    return Findings(correlation.score(measures, [example.label for example in examples], answers), cut)
