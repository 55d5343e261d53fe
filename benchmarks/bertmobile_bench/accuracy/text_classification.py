"""text-classification: how many texts get their right label."""

from collections.abc import Callable, Sequence

import numpy as np

from bertmobile import Model
from bertmobile_bench.accuracy.reference import Source
from bertmobile_bench.accuracy.score import Score
from bertmobile_bench.accuracy.tokens import Text, side_by_side
from bertmobile_bench.interval import paired_difference


def score(model: Model, source: Source, texts: Sequence[Text], progress: Callable[[int, int], None]) -> Score:
    """Label all texts with both models.

    Args:
        texts: with labels, at least one.
        progress: called with the number of texts done and their total.
    """

    def labels(text: Text) -> tuple[int, int]:
        logits = model.run(text.encoded.inputs)["logits"][0]
        return source.label(text.ids, text.types), int(logits.argmax())

    found = []
    for answer in side_by_side(labels, texts):
        found.append(answer)
        progress(len(found), len(texts))
    answers = np.array(found)
    right = answers == np.array([[text.example.label] for text in texts])
    low, high = paired_difference(right[:, 0], right[:, 1])
    reference, bundle = right.mean(axis=0).tolist()
    return Score(
        measure="accuracy",
        count=len(texts),
        reference=reference,
        bundle=bundle,
        change=100 * (bundle - reference),
        unit="percentage points",
        interval=(100 * low, 100 * high),
        flipped=float((answers[:, 0] != answers[:, 1]).mean()),
    )
