"""Latencies: percentiles, whether they can be trusted, and ratios with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bertmobile_bench.interval import Interval, paired_bootstrap

# A case is run this often, and this long, at least.
LEAST_RUNS = 50
LEAST_SECONDS = 10.0
# From so many runs on one in a hundred is more than a handful.
RUNS_FOR_P99 = 1_000
# A steady machine keeps nine of ten runs within so much of the median, and its median over time.
WIDEST = 1.5
LARGEST_DRIFT = 0.15


@dataclass(frozen=True)
class Summary:
    """Percentiles in seconds; ``p99`` is None where there are too few runs for it."""

    p50: float
    p90: float
    p99: float | None
    mean: float


def summarise(seconds: Sequence[float]) -> Summary:
    """Percentiles of one or more latencies, by linear interpolation."""
    p50, p90, p99 = np.percentile(seconds, (50, 90, 99))
    enough = len(seconds) >= RUNS_FOR_P99
    return Summary(float(p50), float(p90), float(p99) if enough else None, float(np.mean(seconds)))


def doubts(seconds: Sequence[float], *, alike: bool = True) -> list[str]:
    """Why latencies in the order in which they were measured cannot be trusted; empty if they can.

    Args:
        seconds: of all runs.
        alike: whether all runs were the same; those of different texts differ on a steady machine, too.
    """
    found = []
    if len(seconds) < LEAST_RUNS:
        found.append(f"only {len(seconds)} runs, not {LEAST_RUNS}")
    if sum(seconds) < LEAST_SECONDS:
        found.append(f"only {sum(seconds):.1f} s of runs, not {LEAST_SECONDS:.0f}")
    if not alike:
        return found
    summary = summarise(seconds)
    if summary.p90 > WIDEST * summary.p50:
        found.append(f"a wide spread: p90 is {summary.p90 / summary.p50:.2f} times the median")
    if len(seconds) > 1:
        first, second = np.array_split(np.asarray(seconds), 2)
        drift = float(np.median(second) / np.median(first)) - 1
        if abs(drift) > LARGEST_DRIFT:
            found.append(f"a drift: the median of the second half is {drift:+.0%} off that of the first")
    return found


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, Interval | None]:
    """How many times the one takes the time of the other, and its 95 % interval.

    Args:
        numerators, denominators: seconds of the same rounds, which ran next to each other.

    Returns:
        The median of the rounds' ratios, and its interval by a paired bootstrap over rounds; None for a
        single round.
    """
    columns = np.asarray(numerators), np.asarray(denominators)
    value = float(np.median(columns[0] / columns[1]))
    if len(numerators) < 2:
        return value, None

    def median_ratio(above: np.ndarray, below: np.ndarray, axis: int) -> np.ndarray:
        found: np.ndarray = np.median(above / below, axis=axis)
        return found

    return value, paired_bootstrap(columns, median_ratio)
