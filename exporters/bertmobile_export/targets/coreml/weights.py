"""How a matrix is stored in an ML Program."""

from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var, types
from numpy.typing import NDArray
from torch import Tensor

from bertmobile_export.quantization import QuantizedMatrix
from bertmobile_export.quantization.packing import pack_bits
from bertmobile_export.recipes import WeightFormat

# numpy's types that coremltools marks as narrower than they are.
_INDICES = {
    1: types.np_uint1_dtype,
    2: types.np_uint2_dtype,
    3: types.np_uint3_dtype,
    4: types.np_uint4_dtype,
    6: types.np_uint6_dtype,
    8: np.dtype(np.uint8),
}


def store_floats(name: str, weight: Tensor, form: WeightFormat, dtype: Any) -> Var:
    """Add a constant to the current function.

    Args:
        name: of the value.
        weight: float32 [rows, columns].
        form: 32 or 16 bits.
        dtype: what the program computes in, numpy's float32 or float16.

    Returns:
        The matrix as a ``dtype`` value.
    """
    stored = np.float32 if form.bits == 32 else np.float16
    values = weight.numpy().astype(stored, copy=False)
    if stored == dtype:
        return mb.const(val=values, name=name)
    return mb.constexpr_cast(source_val=values, output_dtype="fp32", name=name)


def store_codes(name: str, matrix: QuantizedMatrix, dtype: Any, *, ios: int) -> Var:
    """Add codes that Core ML decompresses when it loads the model.

    Args:
        name: of the value.
        matrix: codes and what they stand for.
        dtype: what the program computes in, numpy's float32 or float16.
        ios: oldest system that must read it.

    Returns:
        The matrix as a ``dtype`` value.
    """
    bits = matrix.form.bits
    scales = _at_least_smallest(matrix.scales, dtype)
    if matrix.form.granularity == "scaled-palette":
        assert matrix.palettes is not None
        data = _palettes(f"{name}_palette", matrix, matrix.palettes.astype(dtype), ios=ios)
        return mb.constexpr_blockwise_shift_scale(data=data, scale=scales, name=name)
    if matrix.palettes is not None:
        return _palettes(name, matrix, matrix.palettes.astype(dtype), ios=ios)
    if bits == 4:
        data = matrix.codes.astype(types.np_int4_dtype)
        return mb.constexpr_blockwise_shift_scale(data=data, scale=scales, name=name)
    if ios >= 18:
        offset = None if matrix.zeros is None else matrix.zeros[:, np.newaxis]
        return mb.constexpr_blockwise_shift_scale(data=matrix.codes, scale=scales, offset=offset, name=name)
    zeros = np.int8(0) if matrix.zeros is None else matrix.zeros
    return mb.constexpr_affine_dequantize(
        quantized_data=matrix.codes, scale=scales[:, 0], zero_point=zeros, axis=0, name=name
    )


def _palettes(name: str, matrix: QuantizedMatrix, palettes: NDArray[np.floating], *, ios: int) -> Var:
    bits = matrix.form.bits
    if ios >= 18:
        indices = matrix.codes.astype(_INDICES[bits])
        return mb.constexpr_lut_to_dense(
            indices=indices, lut=palettes[:, np.newaxis, :, np.newaxis], name=name
        )
    return mb.constexpr_lut_to_dense(
        indices=pack_bits(matrix.codes, bits),
        lut=palettes[0],
        shape=np.array(matrix.codes.shape, np.uint32),
        name=name,
    )


def _at_least_smallest(scales: NDArray[np.float32], dtype: Any) -> NDArray[np.floating]:
    """``scales`` in ``dtype``, none of them rounded to 0."""
    return np.maximum(scales, np.finfo(dtype).smallest_subnormal).astype(dtype)
