"""next-sentence: how often a model knows whether the second text follows the first.

``flipped`` is the share of pairs that are judged otherwise.
"""

from collections.abc import Sequence
from pathlib import Path

from bertmobile.manifest import Manifest
from bertmobile.tasks.next_sentence import LABELS, NextSentence
from bertmobile_bench.accuracy import labels
from bertmobile_bench.accuracy.both import Both
from bertmobile_bench.accuracy.data.files import DataSet
from bertmobile_bench.accuracy.data.labels import one_of
from bertmobile_bench.accuracy.data.texts import Example, read_texts
from bertmobile_bench.accuracy.task import Findings


def measures(manifest: Manifest) -> tuple[str, ...]:
    """Accuracy, as BERT's authors give it (https://arxiv.org/abs/1810.04805)."""
    return ("accuracy",)


def read(path: Path, manifest: Manifest, limit: int | None) -> DataSet[Example]:
    """Pairs with one of the two labels of BERT's own head."""
    return read_texts(path, one_of(LABELS), pairs=True, limit=limit)


def score(both: Both, examples: Sequence[Example], measures: tuple[str, ...]) -> Findings:
    """Judge all pairs with both models."""

    def answer(task: NextSentence, example: Example) -> int:
        assert example.pair is not None
        return LABELS.index(task.answer(example.text, example.pair)["label"])

    cut = both.cut((example.text, example.pair, example.place) for example in examples)
    answers = both.ask(NextSentence, answer, examples)
    return Findings(labels.score(measures, [example.label for example in examples], answers), cut)
