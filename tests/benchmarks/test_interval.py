"""Intervals against figures calculated by hand, and against their definitions."""

import math

import numpy as np
import pytest

from bertmobile_bench.interval import paired_bootstrap, paired_difference


def answers(both: int, lost: int, gained: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    reference = [True] * (both + lost) + [False] * (gained + neither)
    bundle = [True] * both + [False] * lost + [True] * gained + [False] * neither
    return np.array(reference), np.array(bundle)


def test_a_paired_difference_is_what_the_formula_gives_by_hand() -> None:
    # Agresti and Min: 100 texts, 10 lost, 2 gained. (2.5 - 10.5) / 102 = -0.078431;
    # sqrt((13 / 102 - 0.078431 ** 2) / 102) = 0.034485; times 1.959964.
    low, high = paired_difference(*answers(70, 10, 2, 18))
    assert (low, high) == pytest.approx((-0.146021, -0.010842), abs=2e-6)
    # The plain interval: -0.08 -+ 1.96 * sqrt(0.12 - 0.0064) / 10.
    assert (low, high) == pytest.approx((-0.146, -0.014), abs=4e-3)
    assert low < -0.08 < high


def test_only_texts_on_which_the_two_disagree_make_it_wide() -> None:
    narrow = paired_difference(*answers(800, 5, 5, 190))
    wide = paired_difference(*answers(700, 100, 100, 100))
    assert narrow[1] - narrow[0] < 0.015 < 0.05 < wide[1] - wide[0]
    assert narrow[0] == pytest.approx(-narrow[1])


def test_no_change_in_few_texts_is_no_certainty() -> None:
    few, many = (paired_difference(*answers(n, 0, 0, 0)) for n in (20, 2000))
    assert few[0] < -0.05 and few[1] > 0.05
    assert -0.002 < many[0] < 0 < many[1] < 0.002


def test_a_difference_is_never_beyond_one() -> None:
    assert paired_difference(*answers(0, 10, 0, 0))[0] == -1.0
    assert paired_difference(*answers(0, 0, 10, 0))[1] == 1.0


def mean_ratio(more: np.ndarray, count: np.ndarray, axis: int = -1) -> np.ndarray:
    return more.sum(axis=axis) / count.sum(axis=axis)


def test_the_bootstrap_agrees_with_the_normal_interval_of_many_texts() -> None:
    random = np.random.default_rng(3)
    count = random.integers(5, 30, 400).astype(np.float64)
    more = count * random.normal(0.1, 0.2, 400)
    low, high = paired_bootstrap((more, count), mean_ratio)
    ratio = more.sum() / count.sum()
    error = 1.959964 * math.sqrt(((more - ratio * count) ** 2).sum()) / count.sum()
    assert (low, high) == pytest.approx((ratio - error, ratio + error), abs=0.15 * error)


def test_the_bootstrap_is_the_same_each_time_and_survives_equal_texts() -> None:
    columns = (np.full(10, 0.5), np.full(10, 2.0))
    assert paired_bootstrap(columns, mean_ratio) == (0.25, 0.25)
    random = np.random.default_rng(0)
    columns = (random.normal(size=30), np.ones(30))
    assert paired_bootstrap(columns, mean_ratio) == paired_bootstrap(columns, mean_ratio)
