"""Measures of numbers, one for each text: their correlation with those of people."""

import warnings
from collections.abc import Sequence
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
    """Spearman's rank correlation: Pearson's of the ranks, where equal numbers share their mean rank."""
    from scipy.stats import rankdata

    return pearson(rankdata(true, axis=axis), rankdata(told, axis=axis), axis)


MEASURES = {"pearson": pearson, "spearman": spearman}


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
    return tuple(
        score_columns(
            name, MEASURES[name], [right], [reference], [bundle], unit="difference", flipped=max(0.0, flipped)
        )
        for name in measures
    )
