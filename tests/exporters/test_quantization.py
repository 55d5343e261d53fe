"""Codes and scales stand for the matrix that they were made from."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bertmobile_export.quantization import QuantizedMatrix, quantize_matrix
from bertmobile_export.recipes import WeightFormat

MATRICES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)


def quantize(values: np.ndarray, granularity: str = "channel") -> QuantizedMatrix:
    return quantize_matrix(torch.from_numpy(values), WeightFormat(8, granularity))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=100)
@given(values=MATRICES, granularity=st.sampled_from(["channel", "tensor"]))
def test_every_weight_comes_back_within_half_a_step(values: np.ndarray, granularity: str) -> None:
    kept = values.copy()
    found = quantize(values, granularity)
    assert np.array_equal(values, kept)
    assert found.codes.dtype == np.int8 and found.codes.shape == values.shape
    assert found.scales.dtype == np.float32 and found.scales.shape == (len(values),)
    assert np.abs(found.codes.astype(int)).max() <= 127
    assert (found.scales > 0).all()
    scales = found.scales[:, None].astype(np.float64)
    errors = np.abs(found.codes * scales - values.astype(np.float64))
    assert (errors <= scales * 0.5 * (1 + 1e-4)).all()


@settings(deadline=None, max_examples=50)
@given(values=MATRICES)
def test_a_channel_uses_the_whole_range_and_a_tensor_shares_one(values: np.ndarray) -> None:
    values[0, 0] = 3.0
    for row, codes in zip(values, quantize(values).codes, strict=True):
        assert np.abs(codes.astype(int)).max() == (127 if row.any() else 0)
    shared = quantize(values, "tensor")
    assert len(set(shared.scales.tolist())) == 1
    assert np.abs(shared.codes.astype(int)).max() == 127


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_rows_of_zeros_stay_zeros_with_a_scale_to_divide_by(granularity: str) -> None:
    for values in (np.zeros((3, 4), np.float32), np.array([[0, 0], [1, -2]], np.float32)):
        found = quantize(values, granularity)
        assert np.isfinite(found.scales).all() and (found.scales > 0).all()
        assert not found.codes[0].any()


def test_signs_are_treated_alike() -> None:
    values = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    assert np.array_equal(quantize(-values).codes, -quantize(values).codes)


@pytest.mark.parametrize("bits", [2, 4, 16, 32])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=str(bits)):
        quantize_matrix(torch.zeros(1, 1), WeightFormat(bits))
