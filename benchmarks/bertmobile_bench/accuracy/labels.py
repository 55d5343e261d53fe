"""Measures of labels, one for each text: accuracy, F1 and Matthews' correlation coefficient."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile_bench.accuracy.score import Score, Unit, score_columns, score_shares, share

Labels = NDArray[np.int64]


def f1(true: Labels, told: Labels, axis: int = -1) -> Any:
    """F1 of the second of two labels, as GLUE counts MRPC and QQP (Wang et al., ICLR 2019).

    van Rijsbergen, "Information Retrieval", 1979: the harmonic mean of precision and recall, 2 TP / (2 TP +
    FP + FN); 0 where that is 0 / 0.

    Args:
        true, told: integer labels 0 and 1, with the texts on ``axis``.

    Returns:
        From 0 to 1, without ``axis``.
    """
    both = np.count_nonzero((true == 1) & (told == 1), axis=axis)
    either = np.count_nonzero(true == 1, axis=axis) + np.count_nonzero(told == 1, axis=axis)
    return share(2 * both, either)


def matthews(true: Labels, told: Labels, axis: int = -1) -> Any:
    """Matthews' correlation coefficient, as GLUE scores CoLA.

    Matthews, Biochimica et Biophysica Acta 405 (1975) for two labels; for more, Gorodkin's R_K (Computational
    Biology and Chemistry 28, 2004). 0 where one of the two has a single label only.

    Args:
        true, told: integer labels, with the texts on ``axis``.

    Returns:
        From -1 to 1, without ``axis``.
    """
    texts = true.shape[axis]
    alike, true_squares, told_squares = 0.0, 0.0, 0.0
    for label in range(int(max(true.max(), told.max())) + 1):
        is_true = np.count_nonzero(true == label, axis=axis).astype(np.float64)
        is_told = np.count_nonzero(told == label, axis=axis)
        alike = alike + is_true * is_told
        true_squares = true_squares + is_true**2
        told_squares = told_squares + is_told**2.0
    right = np.count_nonzero(true == told, axis=axis)
    spread = np.sqrt((texts**2 - true_squares) * (texts**2 - told_squares))
    return share(right * float(texts) - alike, spread)


def measures(count: int) -> tuple[str, ...]:
    """The measures of so many labels; F1 is that of one label against one other."""
    return ("accuracy", "f1", "matthews") if count == 2 else ("accuracy", "matthews")


def score(
    measures: Sequence[str], true: Sequence[float | None], answers: Sequence[tuple[float, float]]
) -> tuple[Score, ...]:
    """Score labels of texts; ``flipped`` is the share of texts with another label than the reference's.

    Args:
        measures: some of :func:`measures`.
        true: the right label of each text, counted from 0.
        answers: the labels that the reference and the bundle give to each.
    """
    right = np.array(true, dtype=np.int64)
    reference, bundle = np.array(answers, dtype=np.int64).T
    flipped = float((reference != bundle).mean())

    def scored(name: str) -> Score:
        if name == "accuracy":
            return score_shares(name, reference == right, bundle == right, flipped=flipped)
        statistic, unit = _STATISTICS[name]
        return score_columns(name, statistic, [right], [reference], [bundle], unit=unit, flipped=flipped)

    return tuple(map(scored, measures))


_STATISTICS: dict[str, tuple[Callable[..., Any], Unit]] = {
    "f1": (f1, "percentage points"),
    "matthews": (matthews, "difference"),
}
