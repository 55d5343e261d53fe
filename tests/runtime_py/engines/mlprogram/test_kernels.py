"""The elementwise kernels, against the functions that they stand for."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertmobile.engines.mlprogram.kernels import erf, gelu, round_to_half

ERF_ERROR = 1.5e-7


def test_erf_is_within_its_error_everywhere() -> None:
    x = np.concatenate([np.linspace(-7, 7, 1_000_003), np.geomspace(1e-30, 1e-3, 1000)]).astype(np.float32)
    exact = torch.erf(torch.from_numpy(x).double()).numpy()
    error = np.abs(erf(x) - exact)
    assert error.max() < ERF_ERROR
    # Small results are as good as large ones.
    assert (error[exact != 0] / np.abs(exact[exact != 0])).max() < 1e-6


def test_erf_saturates_and_is_odd() -> None:
    x = np.array([0.0, -0.0, 4.3, 100.0, np.inf, -np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(erf(x), np.array([0, 0, 1, 1, 1, -1, np.nan], np.float32))
    many = np.linspace(0, 6, 10_001).astype(np.float32)
    np.testing.assert_array_equal(erf(-many), -erf(many))


def test_gelu_is_exact_to_float32_and_zero_far_below() -> None:
    x = np.linspace(-9, 9, 300_007).astype(np.float32)
    exact = torch.nn.functional.gelu(torch.from_numpy(x).double()).numpy()
    assert (np.abs(gelu(x) - exact) / np.maximum(1, np.abs(x))).max() < ERF_ERROR
    np.testing.assert_array_equal(gelu(np.array([-6, -1e4, 1e4], np.float32)), np.array([0, 0, 1e4]))


def test_rounding_is_a_cast_to_float16_for_every_value_and_what_lies_between() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = np.sort(halves[np.isfinite(halves)]).astype(np.float32)
    middles = (halves[1:] + halves[:-1]) / 2
    beyond = np.array([65519.9, 65520, 65521, 1e38, np.inf, -np.inf, np.nan, 1e-45, -1e-45], np.float32)
    points = np.concatenate([halves, middles, beyond])
    x = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)])
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).astype(np.float32)
    found = round_to_half(x.astype(np.float32))
    np.testing.assert_array_equal(found, expected)
    # A zero keeps its sign.
    np.testing.assert_array_equal(np.signbit(found[~np.isnan(found)]), np.signbit(expected[~np.isnan(found)]))


@settings(deadline=None, max_examples=30)
@given(
    shape=st.lists(st.integers(0, 40), min_size=0, max_size=3),
    scale=st.integers(-12, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_kernels_keep_the_shape_and_leave_their_input_alone(shape: list[int], scale: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(shape) * 10.0**scale
    x = np.asarray(x, np.float32).T
    before = x.copy()
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(round_to_half(x), x.astype(np.float16).astype(np.float32))
    for kernel in (erf, gelu):
        result = kernel(x)
        assert result.shape == x.shape and result.dtype == np.float32
        for value, argument in zip(result.flat, x.flat, strict=True):
            argument = float(argument)
            exact = math.erf(argument)
            if kernel is gelu:
                exact = 0.5 * argument * (1 + math.erf(argument / math.sqrt(2)))
            assert abs(value - exact) <= ERF_ERROR * max(1, abs(argument))
    np.testing.assert_array_equal(x, before)
