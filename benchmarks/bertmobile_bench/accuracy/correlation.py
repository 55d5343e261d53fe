"""Measures of numbers, one for each text: their correlation with those of people."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.errors import UsageError
from bertmobile_bench.accuracy.score import Score, score_columns

Numbers = NDArray[np.float64]


def pearson(true: Numbers, told: Numbers, axis: int = -1) -> Any:
    """Pearson's correlation coefficient (``scipy.stats.pearsonr``); 0 where one of the two is constant.

    Args:
        true, told: with the texts on ``axis``, at least two.

    Returns:
        From -1 to 1, without ``axis``.
    """
    from scipy.stats import ConstantInputWarning, NearConstantInputWarning, pearsonr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        warnings.simplefilter("ignore", NearConstantInputWarning)
        return np.nan_to_num(pearsonr(true, told, axis=axis).statistic)


def spearman(true: Numbers, told: Numbers, axis: int = -1) -> Any:
    """Spearman's rank correlation: Pearson's of the ranks, where equal numbers share their mean rank.

    Args:
        true, told: whole numbers from 0 on, of which only the order counts, with the texts on the last axis.

    Returns:
        From -1 to 1, without that axis.
    """
    return pearson(_ranks(true), _ranks(told), axis)


def _ranks(numbers: Numbers) -> Numbers:
    """``scipy.stats.rankdata`` along the last axis, by counting: thousands of draws need no sorting."""
    rows = numbers.reshape(-1, numbers.shape[-1]).astype(np.int64)
    size = int(rows.max()) + 1
    places = rows + size * np.arange(len(rows))[:, None]
    counts = np.bincount(places.ravel(), minlength=size * len(rows)).reshape(len(rows), size)
    ranks = counts.cumsum(axis=1) - (counts - 1) / 2
    found: Numbers = ranks.ravel()[places].reshape(numbers.shape)
    return found


def _in_order(numbers: Numbers) -> Numbers:
    """Each number as how many different ones are smaller."""
    return np.unique(numbers, return_inverse=True)[1].astype(np.float64)


MEASURES: dict[str, tuple[Callable[..., Any], Callable[[Numbers], Numbers]]] = {
    "pearson": (pearson, lambda numbers: numbers),
    "spearman": (spearman, _in_order),
}
"""The statistic, and what it is told of each column of numbers."""


def score(
    measures: Sequence[str], true: Sequence[float | None], answers: Sequence[tuple[float, float]]
) -> tuple[Score, ...]:
    """Score numbers for texts; ``flipped`` is the share of pairs of texts that change their order.

    That share is (1 - tau) / 2, with Kendall's tau-b (``scipy.stats.kendalltau``) of the two models.

    Args:
        measures: some of ``MEASURES``.
        true: what people say about each text.
        answers: what the reference and the bundle say about each.

    Raises:
        UsageError: people say the same about all texts.
    """
    from scipy.stats import kendalltau

    right = np.array(true, dtype=np.float64)
    if np.ptp(right) == 0:
        raise UsageError(
            "all labels of the data are the same number, with which nothing correlates; give others"
        )
    reference, bundle = np.array(answers, dtype=np.float64).T
    flipped = (1 - float(np.nan_to_num(kendalltau(reference, bundle).statistic))) / 2

    def scored(name: str) -> Score:
        statistic, told = MEASURES[name]
        columns = ([told(column)] for column in (right, reference, bundle))
        return score_columns(name, statistic, *columns, unit="difference", flipped=max(0.0, flipped))

    return tuple(map(scored, measures))
