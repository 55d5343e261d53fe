"""The numbers of a parity report mean what they say, for any outputs."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bertmobile_export.parity.metrics import SHORT, OutputMetrics, cosine

Floats = np.ndarray

finite = st.floats(-(2.0**100), 2.0**100, width=32)
logits = st.floats(-50, 50, width=32)
shapes = arrays.array_shapes(min_dims=1, max_dims=2, max_side=12)


@st.composite
def pairs(draw: st.DrawFn, elements: st.SearchStrategy[float] = finite) -> tuple[Floats, Floats]:
    """Two float32 arrays of one shape."""
    shape = draw(shapes)
    return (
        draw(arrays.arrays(np.float32, shape, elements=elements)),
        draw(arrays.arrays(np.float32, shape, elements=elements)),
    )


@st.composite
def score_pairs(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """[rows, n] logits without ties, so that there is one best and one best five."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(2, 12))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    made = [
        np.stack([random.permutation(columns) for _ in range(rows)]) * draw(st.floats(0.1, 5))
        for _ in range(2)
    ]
    return made[0].astype(np.float32), made[1].astype(np.float32)


def metrics(*texts: tuple[Floats, Floats], scores: bool = True) -> OutputMetrics:
    collected = OutputMetrics(scores)
    for actual, reference in texts:
        collected.add(actual, reference)
    return collected


def row(*values: float) -> Floats:
    return np.array(values, np.float32)


@given(pairs())
def test_a_cosine_is_between_minus_one_and_one(pair: tuple[Floats, Floats]) -> None:
    assert -1.0 <= cosine(*pair) <= 1.0
    assert -1.0 <= cosine(pair[0], -pair[0]) <= 1.0


@given(pairs())
def test_equal_arrays_have_cosine_one_and_opposite_ones_minus_one(pair: tuple[Floats, Floats]) -> None:
    array = pair[0]
    assert cosine(array, array) == pytest.approx(1.0)
    if array.any():
        assert cosine(array, -array) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (row(1, 0), row(0, 1), 0.0),
        (row(1, 1), row(1, 0), math.sqrt(0.5)),
        (row(3, 4), row(6, 8), 1.0),
        (row(1, 2, 3), row(3, 2, 1), 10 / 14),
        (row(0, 0), row(0, 0), 1.0),
        (row(0, 0), row(1, 0), 0.0),
        (row(1e-30, 0), row(1e30, 0), 1.0),
    ],
)
def test_known_cosines(a: Floats, b: Floats, expected: float) -> None:
    assert cosine(a, b) == pytest.approx(expected)
    assert cosine(b, a) == pytest.approx(expected)


@given(pairs(logits))
def test_divergence_is_never_negative_and_zero_for_equal_scores(pair: tuple[Floats, Floats]) -> None:
    different = metrics(pair).summary()
    equal = metrics((pair[0], pair[0])).summary()
    if pair[0].shape[-1] == 1:
        assert different["kl_mean"] is None and different["kl_max"] is None
    else:
        assert 0.0 <= different["kl_mean"] <= different["kl_max"] + 1e-12
        assert equal["kl_max"] == pytest.approx(0.0, abs=1e-9)


def test_known_divergence() -> None:
    # Reference 1/2, 1/2; actual 1/4, 3/4.
    summary = metrics((row(0, math.log(3)), row(0, 0))).summary()
    assert summary["kl_mean"] == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-6)


@settings(max_examples=50)
@given(st.lists(score_pairs(), min_size=1, max_size=3))
def test_ranks_equal_a_plain_implementation(texts: list[tuple[Floats, Floats]]) -> None:
    first, five = [], []
    for actual, reference in texts:
        for mine, theirs in zip(actual, reference, strict=True):
            orders = [sorted(range(len(x)), key=lambda i, x=x: -x[i]) for x in (mine, theirs)]
            first.append(orders[0][0] == orders[1][0])
            count = min(5, len(mine) - 1)
            five.append(len(set(orders[0][:count]) & set(orders[1][:count])) / count)
    summary = metrics(*texts).summary()
    assert summary["top1"] == pytest.approx(np.mean(first))
    assert summary["top5"] == pytest.approx(np.mean(five))


@given(pairs(logits))
def test_an_output_without_scores_has_no_ranks(pair: tuple[Floats, Floats]) -> None:
    summary = metrics(pair, scores=False).summary()
    assert [summary[key] for key in ("top1", "top5", "kl_mean", "kl_max")] == [None] * 4


@given(pairs(logits))
def test_differences_equal_a_plain_implementation(pair: tuple[Floats, Floats]) -> None:
    difference = np.abs(pair[0].astype(np.float64) - pair[1])
    summary = metrics(pair).summary()
    assert summary["max_abs"] == pytest.approx(difference.max(), rel=1e-6)
    assert summary["mean_abs"] == pytest.approx(difference.mean(), rel=1e-5)


def test_the_mean_difference_weighs_every_value_alike() -> None:
    long, short = np.zeros((10, 3), np.float32), np.zeros((1, 3), np.float32)
    summary = metrics((long + 1, long + 1), (short + 12, short + 1)).summary()
    assert summary["mean_abs"] == pytest.approx(11 * 3 / 33)
    assert summary["worst_abs_text"] == 1


def test_norm_ratios_tell_outputs_that_grew_from_those_that_shrank() -> None:
    unit = row(3, 4)
    summary = metrics((unit * 2, unit), (unit / 4, unit), (unit, row(0, 0))).summary()
    assert (summary["norm_ratio_min"], summary["norm_ratio_max"]) == (0.25, 2.0)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1,)])
def test_nan_and_inf_are_counted_and_leave_numbers_that_json_can_hold(shape: tuple[int, ...]) -> None:
    broken = np.full(shape, np.nan, np.float32)
    infinite = np.full(shape, -np.inf, np.float32)
    healthy = np.ones(shape, np.float32)
    with np.errstate(all="raise", under="ignore"):
        summary = metrics((broken, healthy), (infinite, healthy), (healthy, healthy)).summary()
    assert summary["nan_count"] == summary["inf_count"] == healthy.size
    json.dumps(summary, allow_nan=False)


def test_a_text_near_zero_decides_no_cosine_but_counts_as_a_difference() -> None:
    usual = [(row(4, -4), row(4, -4)), (row(-3.9, 4.1), row(-4, 4))]
    near_zero = (row(0.9, -0.9), row(-0.1, 0.1))
    summary = metrics(usual[0], near_zero, usual[1]).summary()
    assert cosine(*near_zero) == pytest.approx(-1.0)
    assert summary["cosine_min"] > 0.999
    assert summary["cosine_texts"] == 2
    assert summary["worst_text"] == 2
    assert summary["max_abs"] == pytest.approx(1.0)
    assert summary["worst_abs_text"] == 1
    assert summary["top1"] == pytest.approx(2 / 3)


def test_only_the_reference_says_whether_a_text_is_short() -> None:
    collapsed = (row(-0.01, 0.01), row(4, -4))
    assert metrics((row(4, -4), row(4, -4)), collapsed).summary()["cosine_min"] == pytest.approx(-1.0)


def test_a_text_is_not_short_for_having_few_tokens() -> None:
    long = np.ones((200, 4), np.float32)
    few = np.ones((1, 4), np.float32)
    assert metrics((long, long), (-few, few)).summary()["cosine_min"] == pytest.approx(-1.0)


@given(st.lists(pairs(logits), min_size=1, max_size=6))
def test_some_text_always_decides_the_cosine(texts: list[tuple[Floats, Floats]]) -> None:
    # Outputs of one value are judged together; see below.
    texts = [text for text in texts if text[0].size > 1] or [(row(0, 0), row(0, 0))]
    collected = metrics(*texts)
    cosines, kept = collected.directions()
    lengths = np.array([np.sqrt(np.mean(reference.astype(np.float64) ** 2)) for _, reference in texts])
    # Rounding may place a text that lies on the boundary on either side of it.
    bound = SHORT * np.sqrt(np.mean(lengths**2))
    assert set(np.flatnonzero(lengths > bound * (1 + 1e-6))) <= set(kept)
    assert set(kept) <= set(np.flatnonzero(lengths >= bound * (1 - 1e-6)))
    assert len(cosines) == len(kept) >= 1
    summary = collected.summary()
    assert summary["cosine_min"] <= summary["cosine_mean"] + 1e-12
    assert summary["worst_text"] in kept


def test_single_values_are_one_vector_over_all_texts() -> None:
    actual, reference = row(1.0, 2.1, -0.1), row(1.0, 2.0, 0.1)
    summary = metrics(*((actual[i : i + 1], reference[i : i + 1]) for i in range(3))).summary()
    assert summary["cosine_min"] == summary["cosine_mean"] == pytest.approx(cosine(actual, reference))
    assert summary["cosine_min"] < 1.0
    assert summary["cosine_texts"] == 1
    assert summary["worst_text"] == summary["worst_abs_text"] == 2
    assert summary["top1"] is None
