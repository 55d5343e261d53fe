"""Elementwise arithmetic that numpy lacks or does slowly, in blocks that stay in the CPU's cache."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_BLOCK = 8192
# erf(x) = tanh(x * p(x * x)) for this p, a weighted least-squares fit of atanh(erf(x)) / x over (0, 4]. tanh
# flattens the errors where erf does, so that float32 keeps erf to 1.4e-7. Highest power first.
_ERF = (
    2.44052347e-09,
    1.05993759e-07,
    -5.56094438e-06,
    8.81207832e-05,
    -6.22810219e-04,
    -1.86847018e-04,
    1.02766302e-01,
    1.12837964e00,
)
# erf is 1 in float32 from here on.
_ERF_LIMIT = 4.2
# The same polynomial in x for erf(x / sqrt(2)).
_ERF_HALVED = tuple(
    coefficient / (math.sqrt(2) * 2.0 ** (len(_ERF) - 1 - index)) for index, coefficient in enumerate(_ERF)
)

# Below this float16 is subnormal, its values multiples of 2**-24.
_SMALLEST_NORMAL_HALF = 2.0**-14
# From here on float16 rounds to infinity.
_HALF_OVERFLOW = 65520.0


def _blockwise(kernel: Callable[[Array, Array, Array], None], x: Array) -> Array:
    """Apply ``kernel(x, out, scratch)`` block by block; the three are float32 of one size."""
    x = np.asarray(x, np.float32, order="C")
    result = np.empty_like(x)
    source, target = x.reshape(-1), result.reshape(-1)
    scratch = np.empty(min(_BLOCK, x.size), np.float32)
    for start in range(0, x.size, _BLOCK):
        block = source[start : start + _BLOCK]
        kernel(block, target[start : start + _BLOCK], scratch[: block.size])
    return result


def _erf_block(x: Array, out: Array, scratch: Array, limit: float, coefficients: tuple[float, ...]) -> None:
    np.clip(x, -limit, limit, out=out)
    np.multiply(out, out, out=scratch)
    polynomial = scratch * np.float32(coefficients[0])
    for coefficient in coefficients[1:-1]:
        polynomial += np.float32(coefficient)
        polynomial *= scratch
    polynomial += np.float32(coefficients[-1])
    out *= polynomial
    np.tanh(out, out=out)


def erf(x: Array) -> Array:
    """The error function in float32, within 1.5e-7.

    Args:
        x: any shape, float32.

    Returns:
        x's shape, float32.
    """
    return _blockwise(lambda x, out, scratch: _erf_block(x, out, scratch, _ERF_LIMIT, _ERF), x)


def _gelu_block(x: Array, out: Array, scratch: Array) -> None:
    _erf_block(x, out, scratch, _ERF_LIMIT * math.sqrt(2), _ERF_HALVED)
    out += 1
    out *= x
    out *= np.float32(0.5)


def gelu(x: Array) -> Array:
    """``0.5 * x * (1 + erf(x / sqrt(2)))`` in float32; shapes as for :func:`erf`."""
    return _blockwise(_gelu_block, x)


def _round_block(x: Array, out: Array, scratch: Array) -> None:
    np.abs(x, out=scratch)
    if not scratch.max() < _HALF_OVERFLOW:  # or there is a NaN
        with np.errstate(over="ignore"):
            out[:] = x.astype(np.float16)
        return
    # Round half to even at the 13th bit from the right, on the bits as integers: a carry into the exponent is
    # what rounding up to the next power of two means.
    bits, rounded = x.view(np.uint32), out.view(np.uint32)
    np.right_shift(bits, 13, out=rounded)
    rounded &= 1
    rounded += 0xFFF
    rounded += bits
    rounded &= 0xFFFFE000
    subnormal = scratch < _SMALLEST_NORMAL_HALF
    if subnormal.any():
        # The spacing of float32 in [0.5, 1) is that of float16's subnormals.
        scratch += np.float32(0.5)
        scratch -= np.float32(0.5)
        np.copysign(scratch, x, out=out, where=subnormal)


def round_to_half(x: Array) -> Array:
    """The nearest values of float16, infinite beyond its range; five times as fast as a cast there and back.

    Args:
        x: any shape, float32.

    Returns:
        x's shape, float32.
    """
    return _blockwise(_round_block, x)
