"""Each operator computes what MIL documents: against PyTorch or plain float64 arithmetic.

Each goes through a saved package. One holds a family of operators, since saving costs more than they compute.
"""

import inspect
import math
import re
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bertmobile.engines.mlprogram.operators import OPERATORS

from .programs import check, ct, mb

Array = NDArray[Any]

few = settings(max_examples=12, deadline=None)
floats = st.sampled_from([np.float32, np.float16])
numbers = st.sampled_from([np.float32, np.float16, np.int32])
seeds = st.integers(0, 2**32 - 1)


def shapes(least: int = 1, most: int = 4) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, 5), min_size=least, max_size=most)


def values(seed: int, shape: Any, dtype: Any, scale: float = 3.0) -> Array:
    """Random numbers, a few of them zero."""
    random = np.random.default_rng(seed)
    numbers = random.standard_normal(shape) * scale * (random.random(shape) > 0.05)
    return np.asarray(numbers).astype(dtype)


def exact(x: Array) -> torch.Tensor:
    return torch.from_numpy(np.asarray(x, np.float64 if x.dtype.kind == "f" else x.dtype))


@few
@given(shape=shapes(0), dtype=floats, seed=seeds)
def test_unary_operators(shape: list[int], dtype: Any, seed: int) -> None:
    x = values(seed, shape or [1], dtype)
    wide = exact(x)
    positive = np.abs(x) + dtype(0.25)

    def program(x: Any, positive: Any) -> Any:
        for name in ("erf", "exp", "relu", "sigmoid", "silu", "square", "tanh"):
            getattr(mb, name)(x=x, name=name)
        mb.gelu(x=x, mode="EXACT", name="gelu__exact")
        mb.gelu(x=x, mode="TANH_APPROXIMATION", name="gelu__tanh")
        mb.gelu(x=x, mode="SIGMOID_APPROXIMATION", name="gelu__sigmoid")
        mb.clip(x=x, alpha=dtype(-1.5), beta=dtype(0.75), name="clip")
        mb.identity(x=x, name="identity")
        mb.rsqrt(x=positive, epsilon=dtype(0.125), name="rsqrt")
        mb.rsqrt(x=positive, name="rsqrt__default")
        return mb.sqrt(x=positive, name="sqrt")

    gelu = torch.nn.functional.gelu
    check(
        program,
        {"x": x, "positive": positive},
        {
            "erf": torch.erf(wide),
            "exp": torch.exp(wide),
            "relu": torch.relu(wide),
            "sigmoid": torch.sigmoid(wide),
            "silu": wide * torch.sigmoid(wide),
            "square": wide**2,
            "tanh": torch.tanh(wide),
            "gelu__exact": gelu(wide),
            "gelu__tanh": gelu(wide, approximate="tanh"),
            "gelu__sigmoid": wide * torch.sigmoid(1.702 * wide),
            "clip": wide.clamp(-1.5, 0.75),
            "identity": wide,
            "rsqrt": torch.rsqrt(exact(positive) + 0.125),
            "rsqrt__default": torch.rsqrt(exact(positive)),
            "sqrt": torch.sqrt(exact(positive)),
        },
    )


@few
@given(shape=shapes(), data=st.data(), dtype=numbers, seed=seeds)
def test_binary_operators_broadcast(shape: list[int], data: Any, dtype: Any, seed: int) -> None:
    other = [size if data.draw(st.booleans()) else 1 for size in shape][data.draw(st.integers(0, 1)) :]
    x, y = values(seed, shape, dtype), values(seed + 1, other or [1], dtype)
    denominator = np.where(np.abs(y) < 0.5, dtype(2), y)
    base = np.abs(x) + dtype(1)
    two = dtype(2)

    def program(x: Any, y: Any, denominator: Any, base: Any) -> Any:
        for name in ("add", "sub", "mul", "maximum", "minimum"):
            getattr(mb, name)(x=x, y=y, name=name)
        for name in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"):
            getattr(mb, name)(x=x, y=y, name=name)
            getattr(mb, name)(x=x, y=x, name=f"{name}__self")
        mb.sub(x=two, y=x, name="sub__scalar")
        mb.pow(x=base, y=two, name="pow")
        if dtype is np.int32:
            return mb.add(x=x, y=two, name="add__scalar")
        return mb.real_div(x=x, y=denominator, name="real_div")

    a, b = exact(x), exact(y)
    expected = {
        "add": a + b,
        "sub": a - b,
        "mul": a * b,
        "maximum": torch.maximum(a, b),
        "minimum": torch.minimum(a, b),
        "equal": a == b,
        "not_equal": a != b,
        "greater": a > b,
        "greater_equal": a >= b,
        "less": a < b,
        "less_equal": a <= b,
        "equal__self": a == a,
        "not_equal__self": a != a,
        "greater__self": a > a,
        "greater_equal__self": a >= a,
        "less__self": a < a,
        "less_equal__self": a <= a,
        "sub__scalar": 2 - a,
        "pow": exact(base) ** 2,
    }
    if dtype is np.int32:
        expected["add__scalar"] = a + 2
    else:
        expected["real_div"] = a / exact(denominator)
    check(program, {"x": x, "y": y, "denominator": denominator, "base": base}, expected)


@few
@given(shape=shapes(), seed=seeds)
def test_logical_operators_and_select(shape: list[int], seed: int) -> None:
    x, y = values(seed, shape, np.float32), values(seed + 1, shape, np.float32)

    def program(x: Any, y: Any) -> Any:
        first, second = mb.greater(x=x, y=np.float32(0)), mb.less(x=y, y=np.float32(1))
        mb.logical_and(x=first, y=second, name="logical_and")
        mb.logical_or(x=first, y=second, name="logical_or")
        mb.logical_not(x=first, name="logical_not")
        mb.select(cond=first, a=np.float32(7), b=np.float32(-7), name="select__scalars")
        return mb.select(cond=first, a=y, b=np.float32(9), name="select")

    pairs = [(a > 0, b < 1) for a, b in zip(x.flat, y.flat, strict=True)]
    check(
        program,
        {"x": x, "y": y},
        {
            "logical_and": np.reshape([bool(a and b) for a, b in pairs], shape),
            "logical_or": np.reshape([bool(a or b) for a, b in pairs], shape),
            "logical_not": np.reshape([not a for a, _ in pairs], shape),
            "select__scalars": np.reshape([7 if a else -7 for a, _ in pairs], shape),
            "select": torch.where(exact(x) > 0, exact(y), 9.0),
        },
    )


@few
@given(shape=shapes(), data=st.data(), dtype=numbers, seed=seeds)
def test_reductions(shape: list[int], data: Any, dtype: Any, seed: int) -> None:
    x = values(seed, shape, dtype)
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    given_axes = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes]
    keep = data.draw(st.booleans())
    float_only = ["reduce_mean", "reduce_l2_norm"] if dtype is not np.int32 else []

    def program(x: Any) -> Any:
        for name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_sum_square", *float_only):
            result = getattr(mb, name)(x=x, axes=given_axes, keep_dims=keep, name=name)
        # Left out, they are all axes, and no axis is kept.
        mb.reduce_sum(x=x, name="reduce_sum__all")
        return result

    wide = exact(x)
    expected = {
        "reduce_sum": wide.sum(axes, keepdim=keep),
        "reduce_max": wide.amax(axes, keepdim=keep),
        "reduce_min": wide.amin(axes, keepdim=keep),
        "reduce_sum_square": (wide * wide).sum(axes, keepdim=keep),
        "reduce_sum__all": wide.sum(),
    }
    if float_only:
        expected["reduce_mean"] = wide.mean(axes, keepdim=keep)
        expected["reduce_l2_norm"] = (wide * wide).sum(axes, keepdim=keep).sqrt()
    check(program, {"x": x}, expected)


@few
@given(shape=shapes(3), data=st.data(), dtype=floats, seed=seeds)
def test_softmax_and_normalisations(shape: list[int], data: Any, dtype: Any, seed: int) -> None:
    x = values(seed, shape, dtype, scale=10)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    count = data.draw(st.integers(1, len(shape)))
    axes = list(range(len(shape)))[-count:]
    gamma, beta = values(seed + 1, shape[-count:], dtype), values(seed + 2, shape[-count:], dtype)

    def program(x: Any) -> Any:
        mb.softmax(x=x, axis=axis, name="softmax")
        mb.softmax(x=x, name="softmax__default")
        mb.layer_norm(x=x, axes=axes, gamma=gamma, beta=beta, epsilon=dtype(1e-3), name="layer_norm")
        mb.layer_norm(x=x, axes=[axis], epsilon=dtype(0.5), name="layer_norm__plain")
        return mb.l2_norm(x=x, epsilon=dtype(1e-3), name="l2_norm")

    wide = exact(x)
    mean, variance = wide.mean(axis, keepdim=True), wide.var(axis, unbiased=False, keepdim=True)
    squares = (wide * wide).sum((-3, -2, -1), keepdim=True)
    small = float(dtype(1e-3))
    norm = torch.nn.functional.layer_norm
    check(
        program,
        {"x": x},
        {
            "softmax": torch.softmax(wide, axis),
            "softmax__default": torch.softmax(wide, -1),
            "layer_norm": norm(wide, shape[-count:], exact(gamma), exact(beta), small),
            "layer_norm__plain": (wide - mean) / (variance + 0.5).sqrt(),
            "l2_norm": wide / (squares + small).sqrt(),
        },
        tolerance=1e-5,
    )


@few
@given(sizes=st.lists(st.integers(1, 7), min_size=5, max_size=5), dtype=floats, seed=seeds)
def test_products_of_matrices(sizes: list[int], dtype: Any, seed: int) -> None:
    batch, rows, inner, columns, heads = sizes
    x = values(seed, [batch, rows, inner], dtype)
    weight, bias = values(seed + 1, [columns, inner], dtype), values(seed + 2, [columns], dtype)
    y = values(seed + 3, [heads, 1, inner, columns], dtype)
    vector = values(seed + 4, [inner], dtype)

    def program(x: Any, y: Any, vector: Any) -> Any:
        mb.linear(x=x, weight=weight, bias=bias, name="linear")
        mb.linear(x=vector, weight=weight, name="linear__vector")
        mb.matmul(x=x, y=y, name="matmul")
        mb.matmul(x=y, y=x, transpose_x=True, transpose_y=True, name="matmul__transposed")
        mb.matmul(x=x, y=weight, transpose_y=True, name="matmul__weight")
        mb.matmul(x=x, y=x, transpose_x=True, name="matmul__gram")
        return mb.matmul(x=vector, y=y, name="matmul__vector")

    a, b, w = exact(x), exact(y), exact(weight)
    check(
        program,
        {"x": x, "y": y, "vector": vector},
        {
            "linear": torch.einsum("bri,ci->brc", a, w) + exact(bias),
            "linear__vector": w @ exact(vector),
            "matmul": torch.einsum("bri,hxic->hbrc", a, b),
            "matmul__transposed": torch.einsum("hxic,bri->hbcr", b, a),
            "matmul__weight": torch.einsum("bri,ci->brc", a, w),
            "matmul__gram": torch.einsum("bri,brj->bij", a, a),
            "matmul__vector": torch.einsum("i,hxic->hxc", exact(vector), b),
        },
    )


@few
@given(sizes=st.lists(st.integers(1, 6), min_size=6, max_size=6), dtype=floats, seed=seeds)
def test_attention(sizes: list[int], dtype: Any, seed: int) -> None:
    batch, heads, queries, keys, size, value_size = sizes
    query = values(seed, [batch, heads, queries, size], dtype)
    key = values(seed + 1, [batch, heads, keys, size], dtype)
    value = values(seed + 2, [batch, heads, keys, value_size], dtype)
    mask = values(seed + 3, [batch, 1, queries, keys], dtype)
    allowed = np.random.default_rng(seed).random((queries, keys)) > 0.4
    allowed[:, 0] = True

    def program(query: Any, key: Any, value: Any, mask: Any) -> Any:
        attention = mb.scaled_dot_product_attention
        parts = {"query": query, "key": key, "value": value}
        attention(**parts, attn_mask=mask, name="scaled_dot_product_attention")
        attention(**parts, attn_mask=allowed, name="scaled_dot_product_attention__bool")
        return attention(**parts, name="scaled_dot_product_attention__all")

    attend = torch.nn.functional.scaled_dot_product_attention
    q, k, v = exact(query), exact(key), exact(value)
    check(
        program,
        {"query": query, "key": key, "value": value, "mask": mask},
        {
            "scaled_dot_product_attention": attend(q, k, v, attn_mask=exact(mask)),
            "scaled_dot_product_attention__bool": attend(q, k, v, attn_mask=torch.from_numpy(allowed)),
            "scaled_dot_product_attention__all": attend(q, k, v),
        },
        tolerance=1e-5,
    )


@few
@given(shape=shapes(2), data=st.data(), dtype=numbers, seed=seeds)
def test_gathers(shape: list[int], data: Any, dtype: Any, seed: int) -> None:
    x = values(seed, shape, dtype)
    random = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    # Negative indices count from the end.
    indices = random.integers(-shape[axis], shape[axis], (2, 3)).astype(np.int32)
    along_shape = [3 if place == axis else size for place, size in enumerate(shape)]
    along = random.integers(0, shape[axis], along_shape).astype(np.int32)
    depth = data.draw(st.integers(1, len(shape)))
    points = np.stack([random.integers(0, size, (4,)) for size in shape[:depth]], -1).astype(np.int32)
    batched_axis = data.draw(st.integers(1, len(shape) - 1))
    batched = random.integers(0, shape[batched_axis], (shape[0], 2)).astype(np.int32)
    batched_points = random.integers(0, shape[1], (shape[0], 2, 1)).astype(np.int32)

    def program(x: Any, indices: Any, along: Any, points: Any, batched: Any, batched_points: Any) -> Any:
        mb.gather(x=x, indices=indices, axis=axis - len(shape), name="gather")
        mb.gather(x=x, indices=np.int32(0), axis=axis, name="gather__one")
        mb.gather(x=x, indices=batched, axis=batched_axis, batch_dims=1, name="gather__batched")
        mb.gather_along_axis(x=x, indices=along, axis=axis, name="gather_along_axis")
        mb.gather_nd(x=x, indices=batched_points, batch_dims=1, name="gather_nd__batched")
        return mb.gather_nd(x=x, indices=points, name="gather_nd")

    wide = exact(x)
    positive = torch.from_numpy(indices.astype(np.int64) % shape[axis])
    picked = wide.index_select(axis, positive.reshape(-1))
    check(
        program,
        {
            "x": x,
            "indices": indices,
            "along": along,
            "points": points,
            "batched": batched,
            "batched_points": batched_points,
        },
        {
            "gather": picked.reshape(*shape[:axis], 2, 3, *shape[axis + 1 :]),
            "gather__one": wide.select(axis, 0),
            "gather__batched": torch.stack(
                [
                    row.index_select(batched_axis - 1, torch.from_numpy(chosen.astype(np.int64)))
                    for row, chosen in zip(wide, batched, strict=True)
                ]
            ),
            "gather_along_axis": torch.gather(wide, axis, torch.from_numpy(along.astype(np.int64))),
            "gather_nd": torch.stack([wide[tuple(point.tolist())] for point in points]),
            "gather_nd__batched": torch.stack(
                [
                    torch.stack([row[int(point)] for point in chosen[:, 0]])
                    for row, chosen in zip(wide, batched_points, strict=True)
                ]
            ),
        },
    )


@few
@given(shape=shapes(1, 3), data=st.data(), dtype=numbers, seed=seeds)
def test_reshaping(shape: list[int], data: Any, dtype: Any, seed: int) -> None:
    x = values(seed, shape, dtype)
    order = data.draw(st.permutations(range(len(shape))))
    order = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in order]
    places = sorted(data.draw(st.sets(st.integers(0, len(shape)), min_size=1, max_size=2)))
    ones = [1, *shape, 1]
    total = math.prod(shape)
    wide = exact(x)
    expanded = wide
    for place in places:
        expanded = expanded.unsqueeze(place)

    def program(x: Any, ones: Any) -> Any:
        mb.reshape(x=x, shape=[-1], name="reshape")
        mb.reshape(x=x, shape=[1, total, 1], name="reshape__given")
        mb.reshape(x=x, shape=[0] * (len(shape) - 1) + [-1], name="reshape__inherited")
        # From iOS 17 on a 0 is the size as far from the right end, or 1 beyond x's axes.
        mb.reshape(x=x, shape=[0, -1, *[0] * len(shape)], name="reshape__right")
        mb.transpose(x=x, perm=order, name="transpose")
        mb.expand_dims(x=x, axes=places, name="expand_dims")
        mb.squeeze(x=ones, name="squeeze")
        mb.squeeze(x=ones, axes=[0, -1], name="squeeze__ends")
        return mb.shape(x=x, name="shape")

    check(
        program,
        {"x": x, "ones": x.reshape(ones)},
        {
            "reshape": wide.reshape(-1),
            "reshape__given": wide.reshape(1, total, 1),
            "reshape__inherited": wide,
            "reshape__right": wide.reshape(1, 1, *shape),
            "transpose": wide.permute(order),
            "expand_dims": expanded,
            "squeeze": wide.squeeze(),
            "squeeze__ends": wide,
            "shape": shape,
        },
    )


@few
@given(shape=shapes(), data=st.data(), dtype=numbers, seed=seeds)
def test_slices(shape: list[int], data: Any, dtype: Any, seed: int) -> None:
    x = values(seed, shape, dtype)
    begin = [data.draw(st.integers(0, size - 1)) for size in shape]
    end = [data.draw(st.integers(first + 1, size)) for first, size in zip(begin, shape, strict=True)]
    stride = [data.draw(st.integers(1, 3)) for _ in shape]
    begin_mask = [data.draw(st.booleans()) for _ in shape]
    end_mask = [data.draw(st.booleans()) for _ in shape]
    squeeze = [data.draw(st.booleans()) for _ in shape[1:]] + [False]
    size = [-1 if data.draw(st.booleans()) else last - first for first, last in zip(begin, end, strict=True)]
    from_end = [first - total for first, total in zip(begin, shape, strict=True)]

    def program(x: Any) -> Any:
        mb.slice_by_index(x=x, begin=begin, end=end, stride=stride, name="slice_by_index")
        mb.slice_by_index(
            x=x,
            begin=begin,
            end=end,
            begin_mask=begin_mask,
            end_mask=end_mask,
            squeeze_mask=squeeze,
            name="slice_by_index__masked",
        )
        mb.slice_by_index(
            x=x,
            begin=[0] * len(shape),
            end=[0] * len(shape),
            stride=[-1] * len(shape),
            begin_mask=[True] * len(shape),
            end_mask=[True] * len(shape),
            name="slice_by_index__reversed",
        )
        mb.slice_by_size(x=x, begin=from_end, size=size, name="slice_by_size__from_end")
        return mb.slice_by_size(x=x, begin=begin, size=size, name="slice_by_size")

    def element(axis: int) -> Any:
        first = 0 if begin_mask[axis] else begin[axis]
        if squeeze[axis]:
            return first
        return range(first, shape[axis] if end_mask[axis] else end[axis])

    def take(choices: list[Any]) -> torch.Tensor:
        """One axis after the other, from the last."""
        result = exact(x)
        for axis in reversed(range(len(choices))):
            choice = choices[axis]
            if isinstance(choice, int):
                result = result.select(axis, choice)
            else:
                result = result.index_select(axis, torch.tensor(list(choice)))
        return result

    sized = take(
        [
            range(first, total if count == -1 else first + count)
            for first, count, total in zip(begin, size, shape, strict=True)
        ]
    )
    check(
        program,
        {"x": x},
        {
            "slice_by_index": take([range(*part) for part in zip(begin, end, stride, strict=True)]),
            "slice_by_index__masked": take([element(axis) for axis in range(len(shape))]),
            "slice_by_index__reversed": exact(x).flip(list(range(len(shape)))),
            "slice_by_size": sized,
            "slice_by_size__from_end": sized,
        },
    )


@few
@given(shape=shapes(), data=st.data(), dtype=numbers, seed=seeds)
def test_joining_and_splitting(shape: list[int], data: Any, dtype: Any, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, y = values(seed, shape, dtype), values(seed + 1, shape, dtype)
    longer = np.concatenate([x, y, x], axis)
    size = shape[axis]
    sizes = [size, 2 * size]
    reps = [data.draw(st.integers(1, 3)) for _ in shape]
    a, b = exact(x), exact(y)

    def program(x: Any, y: Any, longer: Any) -> Any:
        mb.concat(values=(x, y), axis=axis, name="concat")
        mb.concat(values=(x,), axis=axis, name="concat__one")
        mb.concat(values=(x, y), axis=axis, interleave=True, name="concat__interleaved")
        mb.stack(values=(x, y), axis=axis, name="stack")
        mb.tile(x=x, reps=reps, name="tile")
        mb.split(x=longer, num_splits=3, axis=axis, name="split__three")
        mb.split(x=longer, split_sizes=sizes, axis=axis, name="split__sizes")
        return mb.identity(x=x)

    positive = axis % len(shape)
    interleaved = torch.stack([a, b], positive + 1).flatten(positive, positive + 1)
    check(
        program,
        {"x": x, "y": y, "longer": longer},
        {
            "concat": torch.cat([a, b], axis),
            "concat__one": a,
            "concat__interleaved": interleaved,
            "stack": torch.stack([a, b], axis),
            "tile": a.repeat(reps),
            "split__three_0": a,
            "split__three_1": b,
            "split__three_2": a,
            "split__sizes_0": a,
            "split__sizes_1": torch.cat([b, a], axis),
        },
    )


@few
@given(shape=shapes(2), data=st.data(), dtype=numbers, seed=seeds)
def test_making_and_masking(shape: list[int], data: Any, dtype: Any, seed: int) -> None:
    x = values(seed, shape, dtype)
    axis = data.draw(st.integers(0, len(shape) - 1))
    lower, upper = data.draw(st.integers(-1, 4)), data.draw(st.integers(-1, 4))
    classes = np.random.default_rng(seed).integers(0, 6, shape).astype(np.int32)
    hot_axis = data.draw(st.integers(-1, len(shape)))

    def program(x: Any, classes: Any) -> Any:
        mb.band_part(x=x, lower=lower, upper=upper, name="band_part")
        for exclusive in (False, True):
            for reverse in (False, True):
                name = f"cumsum__{exclusive}_{reverse}"
                mb.cumsum(x=x, axis=axis, exclusive=exclusive, reverse=reverse, name=name)
        mb.fill(shape=shape, value=dtype(3), name="fill")
        mb.non_zero(x=x, name="non_zero")
        mb.one_hot(
            indices=classes,
            one_hot_vector_size=6,
            axis=hot_axis,
            on_value=dtype(5),
            off_value=dtype(-1),
            name="one_hot",
        )
        mb.one_hot(indices=classes, one_hot_vector_size=7, name="one_hot__default")
        return mb.range_1d(start=dtype(2), end=dtype(11), step=dtype(3), name="range_1d")

    wide = exact(x)
    rows, columns = torch.arange(shape[-2])[:, None], torch.arange(shape[-1])
    keep = torch.ones(shape[-2:], dtype=torch.bool)
    keep &= (rows - columns <= lower) if lower >= 0 else True
    keep &= (columns - rows <= upper) if upper >= 0 else True
    backward = wide.flip(axis).cumsum(axis).flip(axis)
    hot = torch.nn.functional.one_hot
    on = hot(torch.from_numpy(classes).long(), 6) * 6 - 1
    check(
        program,
        {"x": x, "classes": classes},
        {
            "band_part": wide * keep,
            "cumsum__False_False": wide.cumsum(axis),
            "cumsum__True_False": wide.cumsum(axis) - wide,
            "cumsum__False_True": backward,
            "cumsum__True_True": backward - wide,
            "fill": torch.full(shape, 3),
            "non_zero": wide.nonzero(),
            "one_hot": on.movedim(-1, hot_axis),
            "one_hot__default": hot(torch.from_numpy(classes).long(), 7),
            "range_1d": [2, 5, 8],
        },
    )


@few
@given(shape=shapes(), seed=seeds)
def test_casts(shape: list[int], seed: int) -> None:
    x = values(seed, shape, np.float32, scale=40)
    whole = values(seed, shape, np.int32, scale=40)

    def program(x: Any, whole: Any) -> Any:
        for dtype in ("int32", "fp16", "fp32", "bool", "int8"):
            mb.cast(x=x, dtype=dtype, name=f"cast__{dtype}")
        for dtype in ("uint16", "fp16", "fp32", "bool", "int16"):
            mb.cast(x=whole, dtype=dtype, name=f"cast__int_{dtype}")
        return mb.identity(x=x)

    x = x.clip(-127, 127)
    whole = np.abs(whole)
    truncated = [math.trunc(float(value)) for value in x.flat]
    check(
        program,
        {"x": x, "whole": whole},
        {
            "cast__int32": np.reshape(truncated, shape),
            "cast__fp16": x,
            "cast__fp32": x,
            "cast__bool": np.reshape([bool(value) for value in x.flat], shape),
            "cast__int8": np.reshape(truncated, shape),
            "cast__int_uint16": whole,
            "cast__int_fp16": whole,
            "cast__int_fp32": whole,
            "cast__int_bool": np.reshape([bool(value) for value in whole.flat], shape),
            "cast__int_int16": whole,
        },
    )


@few
@given(shape=shapes(), data=st.data(), dtype=floats, kind=st.sampled_from(["int8", "uint8"]), seed=seeds)
def test_quantization_of_activations(shape: list[int], data: Any, dtype: Any, kind: str, seed: int) -> None:
    """PyTorch's quantization multiplies by the inverse scale; the reference is float64 arithmetic."""
    x = values(seed, shape, dtype)
    random = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    # Powers of two: the quotient is exact, so that float32 and float64 round it alike.
    scales = (2.0 ** random.integers(-7, -2, shape[axis])).astype(dtype)
    integers = np.dtype(kind)
    zeros = random.integers(np.iinfo(integers).min, np.iinfo(integers).max, shape[axis]).astype(integers)
    zero = integers.type(3)
    scale = dtype(0.0625)
    stored = random.integers(np.iinfo(integers).min, np.iinfo(integers).max, shape).astype(integers)

    def program(x: Any) -> Any:
        mb.quantize(input=x, scale=scale, output_dtype=kind, name="quantize")
        mb.quantize(input=x, scale=scale, zero_point=zero, output_dtype=kind, name="quantize__zero")
        mb.quantize(
            input=x, scale=scales, zero_point=zeros, axis=axis, output_dtype=kind, name="quantize__axis"
        )
        mb.dequantize(input=stored, scale=scale, name="dequantize")
        mb.dequantize(input=stored, scale=scale, zero_point=zero, name="dequantize__zero")
        mb.dequantize(input=stored, scale=scales, zero_point=zeros, axis=axis, name="dequantize__axis")
        return mb.identity(x=x)

    along = [1] * len(shape)
    along[axis] = -1
    limits = torch.iinfo(torch.int8 if kind == "int8" else torch.uint8)

    def quantized(scale: Any, zero: Any) -> torch.Tensor:
        steps = (exact(x) / torch.as_tensor(np.asarray(scale, np.float64))).round()
        return (steps + torch.as_tensor(np.asarray(zero, np.float64))).clamp(limits.min, limits.max)

    def dequantized(scale: Any, zero: Any) -> Array:
        return (stored.astype(np.float64) - np.asarray(zero, np.float64)) * np.asarray(scale, np.float64)

    check(
        program,
        {"x": x},
        {
            "quantize": quantized(scale, 0),
            "quantize__zero": quantized(scale, zero),
            "quantize__axis": quantized(scales.reshape(along), zeros.reshape(along)),
            "dequantize": dequantized(scale, 0),
            "dequantize__zero": dequantized(scale, zero),
            "dequantize__axis": dequantized(scales.reshape(along), zeros.reshape(along)),
        },
    )


def test_shapes_of_a_program_may_be_known_only_when_it_runs() -> None:
    """What iOS 18's several lengths need: shapes, slices and ranges from values."""
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    sizes = np.array([4, 3], np.int32)

    def program(x: Any, sizes: Any) -> Any:
        first = mb.gather(x=sizes, indices=np.int32(1), axis=0)
        mb.range_1d(start=np.int32(0), end=first, step=np.int32(1), name="range_1d")
        mb.fill(shape=sizes, value=np.float32(2), name="fill")
        mb.tile(x=x, reps=sizes, name="tile")
        mb.slice_by_index(x=x, begin=[0, 0], end=sizes, name="slice_by_index")
        return mb.reshape(x=x, shape=sizes, name="reshape")

    check(
        program,
        {"x": x, "sizes": sizes},
        {
            "range_1d": [0, 1, 2],
            "fill": torch.full((4, 3), 2.0),
            "tile": torch.from_numpy(x).repeat(4, 3),
            "slice_by_index": torch.from_numpy(x)[:4, :3],
            "reshape": torch.from_numpy(x).reshape(4, 3),
        },
    )


@pytest.mark.parametrize("target", [ct.target.iOS16, ct.target.iOS17])
def test_older_operator_sets_are_read_too(target: Any) -> None:
    x = values(0, [4, 6], np.float32)
    weight = values(1, [5, 6], np.float32)

    def program(x: Any) -> Any:
        mb.gather(x=weight, indices=np.array([1, 4], np.int32), axis=0, name="gather")
        mb.reshape(x=x, shape=[0, 2, -1], name="reshape") if target is ct.target.iOS17 else None
        return mb.linear(x=x, weight=weight, name="linear")

    expected: dict[str, Any] = {"gather": weight[[1, 4]], "linear": exact(x) @ exact(weight).T}
    if target is ct.target.iOS17:
        expected["reshape"] = x.reshape(1, 2, 12)
    check(program, {"x": x}, expected, target=target)


def test_every_operator_has_a_reference_here() -> None:
    source = inspect.getsource(sys.modules[__name__])
    expected = re.findall(r'"(\w+)":|expected\["(\w+)"\] =', source)
    assert {(key or entry).split("__")[0] for key, entry in expected} >= set(OPERATORS)
