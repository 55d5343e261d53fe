"""Compressed constants: MIL's ``constexpr_*`` operators, whose results are the weights.

Each function takes the operator's parameters as stored (floats as float32) and gives the values. Float
results are float32; the caller rounds those that the program declares as float16.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines.mlprogram.weights import unpack_bits

Array = NDArray[Any]


def affine_dequantize(quantized_data: Array, zero_point: Array, scale: Array, axis: Any) -> Array:
    """``scale * (quantized_data - zero_point)``, both scalars or one for each index of ``axis`` (iOS 16)."""
    values = quantized_data.astype(np.float32)
    values -= along_axis(zero_point, values.ndim, int(axis))
    values *= along_axis(scale, values.ndim, int(axis))
    return values


def blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """``scale * (data - offset)`` with one scale for each block of equal size (iOS 18).

    Args:
        data: any shape.
        scale, offset: of data's rank; each size divides data's.
    """
    values = data.astype(np.float32)
    blocks = values.reshape(_split(data.shape, scale.shape))
    each = _split(scale.shape, scale.shape)
    if offset is not None:
        blocks -= offset.reshape(each)
    blocks *= scale.reshape(each)
    return values


def lut_to_dense(
    indices: Array, lut: Array, shape: Array | None = None, vector_axis: Any | None = None
) -> Array:
    """Values looked up in a palette.

    iOS 16 gives ``shape``, one palette [entries] for all, and indices packed into bytes. iOS 18 gives indices
    of the result's shape and a palette for each block, [blocks..., entries, vector]; a vector of more than
    one value fills as many places along ``vector_axis``.
    """
    if shape is not None:
        sizes = tuple(int(size) for size in shape)
        bits = int(lut.size).bit_length() - 1
        return lut[unpack_bits(indices, bits, int(np.prod(sizes)))].reshape(sizes)
    *blocks, entries, vector = lut.shape
    rows = lut.reshape(-1, vector)
    places = indices.reshape(_split(indices.shape, tuple(blocks))).astype(np.intp)
    first = np.arange(0, len(rows), entries).reshape(_split(tuple(blocks), tuple(blocks)))
    values = rows[places + first].reshape(*indices.shape, vector)
    axis = 0 if vector_axis is None else int(vector_axis) % indices.ndim
    result = list(indices.shape)
    result[axis] *= vector
    dense: Array = np.moveaxis(values, -1, axis + 1).reshape(result)
    return dense


def cast(source_val: Array, output_dtype: str) -> Array:
    """float16 values as float32, which they are held as already."""
    if output_dtype != "fp32":
        raise ValueError(f"unknown type {output_dtype}")
    return source_val


def along_axis(parameter: Array, rank: int, axis: int) -> Array:
    """A scalar, or a vector shaped so that it goes along ``axis`` of ``rank``."""
    if parameter.ndim == 0:
        return parameter
    shape = [1] * rank
    shape[axis] = -1
    return parameter.reshape(shape)


def _split(shape: tuple[int, ...], blocks: tuple[int, ...]) -> list[int]:
    """Each axis as two: the blocks, and the places in one."""
    return [size for total, count in zip(shape, blocks, strict=True) for size in (count, total // count)]


DECOMPRESSORS: Mapping[str, Callable[..., Array]] = {
    "constexpr_affine_dequantize": affine_dequantize,
    "constexpr_blockwise_shift_scale": blockwise_shift_scale,
    "constexpr_cast": cast,
    "constexpr_lut_to_dense": lut_to_dense,
}
