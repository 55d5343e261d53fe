"""MIL's operators in numpy, each by its name in a program.

Parameters have MIL's names and defaults, and mean what the docstrings in coremltools' ``mil/ops/defs`` say.
Values are arrays (float16 held as float32), constants without axes are Python's scalars. A function may
return its input or a view of it, and never writes to an input. The evaluator gives results their declared
type.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines.mlprogram import kernels
from bertmobile.engines.mlprogram.constexpr import along_axis
from bertmobile.engines.mlprogram.weights import STORAGE

Array = NDArray[Any]
Operator = Callable[..., Any]


def _unary(function: Callable[[Any], Any]) -> Operator:
    def operator(x: Any) -> Any:
        return function(x)

    return operator


def _binary(function: Callable[[Any, Any], Any]) -> Operator:
    def operator(x: Any, y: Any) -> Any:
        return function(x, y)

    return operator


def _reduction(function: Callable[..., Any]) -> Operator:
    def operator(x: Array, axes: Array | None = None, keep_dims: bool = False) -> Any:
        return function(x, axis=_axes(axes), keepdims=keep_dims)

    return operator


def _axes(axes: Array | None) -> tuple[int, ...] | None:
    return None if axes is None else tuple(int(axis) for axis in axes)


# --- elementwise ---


def _sigmoid(x: Array) -> Array:
    result = np.negative(x)
    np.exp(result, out=result)
    result += 1
    return np.reciprocal(result, out=result)


def _rsqrt(x: Array, epsilon: float = 1e-12) -> Array:
    result = np.sqrt(x + np.float32(epsilon))
    return np.reciprocal(result)


def _clip(x: Array, alpha: float, beta: float) -> Array:
    return np.minimum(np.maximum(x, alpha), beta)


def _gelu(x: Array, mode: str = "EXACT") -> Array:
    if mode == "EXACT":
        return kernels.gelu(x)
    if mode == "SIGMOID_APPROXIMATION":
        result = _sigmoid(x * np.float32(1.702))
        result *= x
        return result
    result = x * x
    result *= np.float32(0.044715)
    result += 1
    result *= x
    result *= np.float32(math.sqrt(2 / math.pi))
    np.tanh(result, out=result)
    result += 1
    result *= x
    result *= np.float32(0.5)
    return result


def _cast(x: Any, dtype: str) -> Array:
    return np.asarray(x).astype(np.float32 if dtype == "fp16" else STORAGE[dtype], copy=False)


def _select(cond: Any, a: Any, b: Any) -> Any:
    return np.where(cond, a, b)


# --- linear algebra, normalisation ---


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    # One product of matrices, whatever the rank.
    result: Array = np.matmul(x.reshape(-1, x.shape[-1]), weight.T)
    if bias is not None:
        result += bias
    return result.reshape(*x.shape[:-1], len(weight))


def _matmul(x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Any:
    if transpose_x and x.ndim > 1:
        x = x.swapaxes(-1, -2)
    if transpose_y and y.ndim > 1:
        y = y.swapaxes(-1, -2)
    return np.matmul(x, y)


def _softmax(x: Array, axis: int = -1) -> Array:
    result: Array = x - x.max(axis=axis, keepdims=True)
    np.exp(result, out=result)
    result /= result.sum(axis=axis, keepdims=True)
    return result


def _scaled_dot_product_attention(
    query: Array, key: Array, value: Array, attn_mask: Array | None = None
) -> Array:
    scores = np.matmul(query, key.swapaxes(-1, -2))
    scores *= np.float32(1 / math.sqrt(query.shape[-1]))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    result: Array = np.matmul(_softmax(scores), value)
    return result


def _layer_norm(
    x: Array,
    axes: Array | None = None,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
) -> Array:
    over = tuple(range(x.ndim)) if axes is None else tuple(int(axis) % x.ndim for axis in axes)
    shape = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    result: Array = x - x.mean(axis=over, keepdims=True)
    result *= _rsqrt(np.square(result).mean(axis=over, keepdims=True), epsilon)
    if gamma is not None:
        result *= gamma.reshape(shape)
    if beta is not None:
        result += beta.reshape(shape)
    return result


def _l2_norm(x: Array, epsilon: float = 1e-6) -> Array:
    result: Array = x * _rsqrt(np.square(x).sum(axis=(-3, -2, -1), keepdims=True), epsilon)
    return result


def _sum_square(x: Array, axis: Any, keepdims: bool) -> Any:
    return np.square(x).sum(axis=axis, keepdims=keepdims)


def _root_sum_square(x: Array, axis: Any, keepdims: bool) -> Any:
    return np.sqrt(_sum_square(x, axis, keepdims))


def _cumsum(x: Array, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Array:
    if reverse:
        x = np.flip(x, axis)
    result = np.cumsum(x, axis=axis, dtype=x.dtype)
    if exclusive:
        # Not the sum less the element, which would lose digits.
        result = np.roll(result, 1, axis)
        np.moveaxis(result, axis, 0)[0] = 0
    return np.flip(result, axis) if reverse else result


# --- quantization of activations ---


def _quantize(
    input: Array, scale: Any, output_dtype: str, zero_point: Any = None, axis: int | None = None
) -> Array:
    result = input / _parameter(scale, input, axis)
    np.rint(result, out=result)
    if zero_point is not None:
        result += _parameter(zero_point, input, axis)
    limits = np.iinfo(STORAGE[output_dtype])
    return np.clip(result, limits.min, limits.max, out=result).astype(STORAGE[output_dtype])


def _dequantize(input: Array, scale: Any, zero_point: Any = None, axis: int | None = None) -> Array:
    result = input.astype(np.float32)
    if zero_point is not None:
        result -= _parameter(zero_point, input, axis)
    result *= _parameter(scale, input, axis)
    return result


def _parameter(parameter: Any, x: Array, axis: int | None) -> Array:
    return along_axis(np.asarray(parameter, np.float32), x.ndim, -1 if axis is None else axis)


# --- shapes and places ---


def _gather(
    x: Array, indices: Any, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Any:
    if not batch_dims:
        return np.take(x, indices, axis=axis)
    axis %= x.ndim
    batch = np.ix_(*(np.arange(size) for size in x.shape[:batch_dims]))
    inner = indices.ndim - batch_dims
    places = (*(index.reshape(index.shape + (1,) * inner) for index in batch), indices)
    # [batch..., indices..., x's axes after the batch but for axis], then the middle ones to their place.
    found = np.moveaxis(x, axis, batch_dims)[places]
    return np.moveaxis(found, range(batch_dims, batch_dims + inner), range(axis, axis + inner))


def _gather_along_axis(x: Array, indices: Array, axis: int = 0, validate_indices: bool = False) -> Array:
    return np.take_along_axis(x, indices, axis)


def _gather_nd(x: Array, indices: Array, batch_dims: int = 0, validate_indices: bool = False) -> Any:
    batch = np.ix_(*(np.arange(size) for size in x.shape[:batch_dims]))
    inner = indices.ndim - batch_dims - 1
    places = (index.reshape(index.shape + (1,) * inner) for index in batch)
    return x[(*places, *np.moveaxis(indices, -1, 0))]


def _reshape(x: Array, shape: Array) -> Array:
    # A 0 stands for the size of x that is as far from the right end, or for 1 if there is none.
    sizes = [int(size) for size in shape]
    for place, size in enumerate(sizes):
        if size == 0:
            from_right = len(sizes) - place
            sizes[place] = x.shape[-from_right] if from_right <= x.ndim else 1
    return x.reshape(sizes)


def _transpose(x: Array, perm: Array) -> Array:
    return x.transpose([int(axis) for axis in perm])


def _expand_dims(x: Any, axes: Array) -> Array:
    return np.expand_dims(x, tuple(int(axis) for axis in axes))


def _squeeze(x: Array, axes: Array | None = None) -> Array:
    chosen = range(x.ndim) if axes is None else [int(axis) for axis in axes]
    # Axes of another size are left alone, as in PyTorch.
    return np.squeeze(x, tuple(axis for axis in chosen if x.shape[axis] == 1))


def _slice_by_index(
    x: Array,
    begin: Array,
    end: Array,
    stride: Array | None = None,
    begin_mask: Array | None = None,
    end_mask: Array | None = None,
    squeeze_mask: Array | None = None,
) -> Any:
    places: list[int | slice] = []
    for axis in range(x.ndim):
        step = 1 if stride is None else int(stride[axis])
        first = None if begin_mask is not None and begin_mask[axis] else int(begin[axis])
        last = None if end_mask is not None and end_mask[axis] else int(end[axis])
        one = squeeze_mask is not None and squeeze_mask[axis]
        places.append((first or 0) if one else slice(first, last, step))
    return x[tuple(places)]


def _slice_by_size(x: Array, begin: Array, size: Array) -> Array:
    starts = [int(first) % max(total, 1) for first, total in zip(begin, x.shape, strict=True)]
    return x[
        tuple(
            slice(first, None if count == -1 else first + int(count))
            for first, count in zip(starts, size, strict=True)
        )
    ]


def _split(
    x: Array, axis: int, num_splits: int | None = None, split_sizes: Array | None = None
) -> Sequence[Array]:
    if split_sizes is None:
        return np.split(x, int(num_splits or 1), axis=axis)
    return np.split(x, np.cumsum(split_sizes)[:-1], axis=axis)


def _concat(values: Sequence[Any], axis: int, interleave: bool = False) -> Array:
    if not interleave:
        return np.concatenate(values, axis=axis)
    axis %= values[0].ndim
    shape = list(values[0].shape)
    shape[axis] *= len(values)
    return np.stack(values, axis=axis + 1).reshape(shape)


def _stack(values: Sequence[Any], axis: int) -> Array:
    return np.stack([np.asarray(value) for value in values], axis=axis)


def _tile(x: Array, reps: Array) -> Array:
    return np.tile(x, [int(count) for count in reps])


def _shape(x: Any) -> Array:
    return np.array(np.shape(x), np.int32)


def _range_1d(start: Any, end: Any, step: Any) -> Array:
    return np.arange(start, end, step)


def _fill(shape: Array, value: Any = 0.0) -> Array:
    return np.full([int(size) for size in shape], value)


def _one_hot(
    indices: Array, one_hot_vector_size: int, axis: int = -1, on_value: Any = 1, off_value: Any = 0
) -> Array:
    hot = np.expand_dims(indices, -1) == np.arange(one_hot_vector_size)
    return np.moveaxis(np.where(hot, on_value, off_value), -1, axis)


def _band_part(x: Array, lower: int = -1, upper: int = -1) -> Array:
    rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
    below = lower < 0 or rows - columns <= lower
    above = upper < 0 or columns - rows <= upper
    return np.where(np.logical_and(below, above), x, np.zeros((), x.dtype))


def _identity(x: Any) -> Any:
    return x


OPERATORS: Mapping[str, Operator] = {
    "add": _binary(np.add),
    "band_part": _band_part,
    "cast": _cast,
    "clip": _clip,
    "concat": _concat,
    "cumsum": _cumsum,
    "dequantize": _dequantize,
    "equal": _binary(np.equal),
    "erf": _unary(kernels.erf),
    "exp": _unary(np.exp),
    "expand_dims": _expand_dims,
    "fill": _fill,
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "gather_nd": _gather_nd,
    "gelu": _gelu,
    "greater": _binary(np.greater),
    "greater_equal": _binary(np.greater_equal),
    "identity": _identity,
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
    "less": _binary(np.less),
    "less_equal": _binary(np.less_equal),
    "linear": _linear,
    "logical_and": _binary(np.logical_and),
    "logical_not": _unary(np.logical_not),
    "logical_or": _binary(np.logical_or),
    "matmul": _matmul,
    "maximum": _binary(np.maximum),
    "minimum": _binary(np.minimum),
    "mul": _binary(np.multiply),
    "non_zero": _unary(np.argwhere),
    "not_equal": _binary(np.not_equal),
    "one_hot": _one_hot,
    "pow": _binary(np.power),
    "quantize": _quantize,
    "range_1d": _range_1d,
    "real_div": _binary(np.true_divide),
    "reduce_l2_norm": _reduction(_root_sum_square),
    "reduce_max": _reduction(np.max),
    "reduce_mean": _reduction(np.mean),
    "reduce_min": _reduction(np.min),
    "reduce_sum": _reduction(np.sum),
    "reduce_sum_square": _reduction(_sum_square),
    "relu": _unary(lambda x: np.maximum(x, 0)),
    "reshape": _reshape,
    "rsqrt": _rsqrt,
    "scaled_dot_product_attention": _scaled_dot_product_attention,
    "select": _select,
    "shape": _shape,
    "sigmoid": _unary(_sigmoid),
    "silu": _unary(lambda x: x * _sigmoid(x)),
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "softmax": _softmax,
    "split": _split,
    "sqrt": _unary(np.sqrt),
    "square": _unary(np.square),
    "squeeze": _squeeze,
    "stack": _stack,
    "sub": _binary(np.subtract),
    "tanh": _unary(np.tanh),
    "tile": _tile,
    "transpose": _transpose,
}

# Parameters that take a list of values, even of one.
LIST_PARAMETERS = frozenset({"values"})

# The values of their results are among those of their inputs: what was float16 still is.
MOVES = frozenset(
    {
        "band_part",
        "concat",
        "expand_dims",
        "gather",
        "gather_along_axis",
        "gather_nd",
        "identity",
        "maximum",
        "minimum",
        "reduce_max",
        "reduce_min",
        "relu",
        "reshape",
        "select",
        "slice_by_index",
        "slice_by_size",
        "split",
        "squeeze",
        "stack",
        "tile",
        "transpose",
    }
)


def parameters_of(operator: Operator) -> frozenset[str]:
    """The names of an operator's parameters."""
    return frozenset(inspect.signature(operator).parameters)
