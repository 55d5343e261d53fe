"""How a matrix is stored in an ML Program."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var
from numpy.typing import NDArray
from torch import Tensor

from bertmobile_export.quantization import quantize_matrix
from bertmobile_export.recipes import WeightFormat

LEVELS = 255


@dataclass(frozen=True)
class _Codes:
    """``scales * (codes - zeros)`` stands for the matrix.

    ``codes`` are int8 [rows, columns]; ``scales`` (float32 or float16) and ``zeros`` (int8) are [rows, 1], or
    [1, 1] for one scale. Without ``zeros`` they are 0.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.floating]
    zeros: NDArray[np.int8] | None


def store_matrix(
    name: str, weight: Tensor, form: WeightFormat, dtype: Any, *, symmetric: bool, ios: int
) -> Var:
    """Add a constant to the current function.

    Args:
        name: of the value.
        weight: float32 [rows, columns].
        form: 32 or 16 bits, or 8 with one scale for each row or for all.
        dtype: what the program computes in, numpy's float32 or float16.
        symmetric: whether codes of 8 bits lie around zero, as products of integers want them; else they use
            the whole range of a row.
        ios: oldest system that must read it.

    Returns:
        The matrix as a ``dtype`` value: a constant, or one that Core ML decompresses when it loads the model.
    """
    if not form.quantized:
        stored = np.float32 if form.bits == 32 else np.float16
        values = weight.numpy().astype(stored, copy=False)
        if stored == dtype:
            return mb.const(val=values, name=name)
        return mb.constexpr_cast(source_val=values, output_dtype="fp32", name=name)
    matrix = _symmetric(weight, form, dtype) if symmetric else _affine(weight, form, dtype)
    if ios >= 18:
        return mb.constexpr_blockwise_shift_scale(
            data=matrix.codes, scale=matrix.scales, offset=matrix.zeros, name=name
        )
    # One scale is a scalar here, several are a vector along the axis.
    shape = () if form.granularity == "tensor" else (-1,)
    zeros = np.int8(0) if matrix.zeros is None else matrix.zeros.reshape(shape)
    return mb.constexpr_affine_dequantize(
        quantized_data=matrix.codes,
        scale=matrix.scales.reshape(shape),
        zero_point=zeros,
        axis=0,
        name=name,
    )


def _symmetric(weight: Tensor, form: WeightFormat, dtype: Any) -> _Codes:
    matrix = quantize_matrix(weight, form)
    scales = matrix.scales[:1] if form.granularity == "tensor" else matrix.scales
    return _Codes(matrix.codes, _at_least_smallest(scales[:, np.newaxis], dtype), None)


def _affine(weight: Tensor, form: WeightFormat, dtype: Any) -> _Codes:
    """From the smallest value of a row, or 0, to its largest.

    Where a row's largest value is on one side, half of the symmetric codes are never used.
    """
    values = weight.numpy()
    axis = None if form.granularity == "tensor" else 1
    low = np.minimum(values.min(axis=axis, keepdims=True), 0)
    high = np.maximum(values.max(axis=axis, keepdims=True), 0)
    # A row of zeros, such as that of [PAD], still needs a scale that can be divided by.
    spans = np.where(high > low, high - low, np.float32(LEVELS))
    scales = _at_least_smallest((spans / LEVELS).astype(np.float32), dtype)
    steps = scales.astype(np.float32)
    zeros = np.rint(-low / steps) - 128
    codes = np.clip(np.rint(values / steps) + zeros, -128, 127).astype(np.int8)
    return _Codes(codes, scales, zeros.astype(np.int8))


def _at_least_smallest(scales: NDArray[np.float32], dtype: Any) -> NDArray[np.floating]:
    """``scales`` in ``dtype``, none of them rounded to 0."""
    return np.maximum(scales, np.finfo(dtype).smallest_subnormal).astype(dtype)
