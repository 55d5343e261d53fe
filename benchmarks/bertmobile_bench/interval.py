"""95 % confidence intervals of what changed between two models that answered the same texts."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 9_999
# Random indices held at a time by the bootstrap.
_AT_ONCE = 4_000_000

Interval = tuple[float, float]


def paired_difference(reference_right: NDArray[np.bool_], bundle_right: NDArray[np.bool_]) -> Interval:
    """Interval of (share of the bundle - share of the reference), both counted on the same texts.

    The adjusted Wald interval of Agresti and Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 24 (2005) 729-740: half a text is added to each of the four cells
    (both right, only the one, only the other, neither). Unlike the plain interval it has a width when no text
    changed. Only texts on which the two disagree matter, so it is far narrower than the intervals of the two
    accuracies.

    Args:
        reference_right, bundle_right: [texts], whether each answer is right.

    Returns:
        Low and high as shares, from -1 to 1.
    """
    from scipy.stats import norm

    total = len(reference_right) + 2
    gained = (np.count_nonzero(bundle_right & ~reference_right) + 0.5) / total
    lost = (np.count_nonzero(reference_right & ~bundle_right) + 0.5) / total
    difference = gained - lost
    half = norm.ppf(0.5 + CONFIDENCE / 2) * np.sqrt((gained + lost - difference**2) / total)
    return float(max(-1.0, difference - half)), float(min(1.0, difference + half))


def paired_bootstrap(
    columns: tuple[NDArray[np.float64], ...], statistic: Callable[..., Any], *, seed: int = 0
) -> Interval:
    """Percentile interval of a statistic of texts, by drawing whole texts with replacement.

    ``scipy.stats.bootstrap`` with ``paired=True``: what belongs to one text stays together, so that what is
    alike in both models cancels out, and tokens of one text are not taken for independent ones (Efron and
    Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13).

    Args:
        columns: [texts] each, at least two texts.
        statistic: maps such columns, with the texts on the last axis, to numbers; takes ``axis``.
        seed: of the draws.
    """
    from scipy.stats import bootstrap

    found = bootstrap(
        columns,
        statistic,
        n_resamples=RESAMPLES,
        batch=max(1, _AT_ONCE // len(columns[0])),
        vectorized=True,
        paired=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
