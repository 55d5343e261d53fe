"""Percentiles, doubts and ratios say no more than the samples do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertmobile_bench.latency import LEAST_RUNS, LEAST_SECONDS, RUNS_FOR_P99, doubts, ratio, summarise

STEADY = [LEAST_SECONDS / LEAST_RUNS * 1.01] * LEAST_RUNS
latencies = st.lists(st.floats(1e-6, 10), min_size=1, max_size=60)


@given(latencies)
def test_percentiles_lie_in_order_within_the_samples(seconds: list[float]) -> None:
    found = summarise(seconds)
    assert min(seconds) <= found.p50 <= found.p90 <= max(seconds)
    assert found.p99 is None


def test_the_99th_percentile_needs_a_thousand_runs() -> None:
    assert summarise([0.01] * (RUNS_FOR_P99 - 1)).p99 is None
    assert summarise([0.01] * RUNS_FOR_P99).p99 == pytest.approx(0.01)


def test_enough_steady_runs_are_trusted() -> None:
    assert doubts(STEADY) == []


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        ([*STEADY[:-1]], "only 49 runs"),
        ([0.001] * LEAST_RUNS, "s of runs"),
        ([0.2] * 40 + [0.8] * 20, "spread"),
        ([0.2] * 40 + [0.25] * 40, "drift"),
    ],
)
def test_too_few_short_scattered_or_drifting_runs_say_so(seconds: list[float], says: str) -> None:
    assert any(says in doubt for doubt in doubts(seconds))


@given(st.lists(st.floats(1e-3, 1), min_size=2, max_size=30), st.floats(0.1, 10))
def test_a_constant_ratio_is_found_whatever_the_machine_does(base: list[float], factor: float) -> None:
    value, interval = ratio([factor * each for each in base], base)
    assert value == pytest.approx(factor)
    assert interval is not None and interval == pytest.approx((factor, factor))


def test_an_interval_holds_the_ratio_of_scattered_rounds() -> None:
    random = np.random.default_rng(0)
    base = random.uniform(1, 2, 40)
    value, interval = ratio(list(2 * base * random.uniform(0.9, 1.1, 40)), list(base))
    assert interval is not None and interval[0] < 2 < interval[1]
    assert interval[0] <= value <= interval[1]


def test_a_single_round_has_no_interval() -> None:
    assert ratio([2.0], [1.0]) == (2.0, None)


def test_texts_of_different_length_are_not_doubted_for_their_spread() -> None:
    texts = [0.1, 0.9] * LEAST_RUNS
    assert doubts(texts) != [] and doubts(texts, alike=False) == []
