"""Compressed weights are what coremltools decompresses them to, and stored ones are what was stored."""

from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil.mil import types
from coremltools.optimize._utils import pack_elements_into_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bertmobile.engines.mlprogram.program import Program

from .programs import build, ct, mb, observe

Array = NDArray[Any]
X = np.zeros(1, np.float32)
few = settings(max_examples=12, deadline=None)
floats = st.sampled_from([np.float32, np.float16])
seeds = st.integers(0, 2**32 - 1)
# Blocks per axis and places in one; small and large constants are stored in different places.
block_shapes = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), min_size=1, max_size=3)


def compare(make: Any, target: Any) -> Program:
    """Build a program whose constants ``make`` gives by name; each must hold what coremltools makes of it."""
    expected: dict[str, Array] = {}

    def program(x: Any) -> Any:
        for variable in make():
            operation = variable.op
            held = (
                operation.val.val if operation.op_type == "const" else operation.materialized_val_inference()
            )
            expected[variable.name] = np.asarray(held)
            assert operation.op_type != "const" or variable.name.startswith("stored")
            # Something has to read it.
            mb.identity(x=variable)
        return mb.identity(x=x)

    read = build(program, {"x": X}, target)
    assert expected and expected.keys() <= read.constants.keys()
    for name, values in expected.items():
        found = np.asarray(read.constants[name])
        assert found.shape == values.shape
        if values.dtype.kind == "f":
            assert found.dtype == np.float32 and np.isfinite(values).all()
        np.testing.assert_array_equal(found, values.astype(found.dtype), err_msg=name)
    return read


@few
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    data=st.data(),
    dtype=floats,
    kind=st.sampled_from([np.int8, np.uint8]),
    seed=seeds,
)
def test_affine_quantized_weights(shape: list[int], data: Any, dtype: Any, kind: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    limits = np.iinfo(kind)
    stored = random.integers(limits.min, limits.max, shape, endpoint=True).astype(kind)
    scale = (random.random(shape[axis]) / 100 + 1e-3).astype(dtype)
    zero = random.integers(limits.min, limits.max, shape[axis]).astype(kind)

    def make() -> Any:
        quantized = mb.constexpr_affine_dequantize
        yield quantized(quantized_data=stored, zero_point=zero, scale=scale, axis=axis, name="vectors")
        yield quantized(quantized_data=stored, zero_point=kind(3), scale=scale[0], axis=axis, name="scalars")

    compare(make, ct.target.iOS16)


@few
@given(
    blocks=block_shapes,
    dtype=floats,
    kind=st.sampled_from([types.int4, types.uint4, types.int8, types.uint8]),
    shifted=st.booleans(),
    seed=seeds,
)
def test_blockwise_quantized_weights(
    blocks: list[tuple[int, int]], dtype: Any, kind: Any, shifted: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    shape = [count * size for count, size in blocks]
    counts = [count for count, _ in blocks]
    low, high = (0, 2 ** kind.get_bitwidth()) if kind.is_unsigned() else (-8, 8)
    held = types.nptype_from_builtin(kind)
    stored = random.integers(low, high, shape).astype(held)
    scale = (random.random(counts) / 8 + 1e-3).astype(dtype)
    offset = {"offset": random.integers(low, high, counts).astype(held)} if shifted else {}

    def make() -> Any:
        yield mb.constexpr_blockwise_shift_scale(data=stored, scale=scale, name="blocks", **offset)

    compare(make, ct.target.iOS18)


@few
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    bits=st.sampled_from([1, 2, 4, 6, 8]),
    dtype=floats,
    seed=seeds,
)
def test_palettes_with_packed_indices(shape: list[int], bits: int, dtype: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    indices = random.integers(0, 2**bits, int(np.prod(shape))).astype(np.uint8)
    lut = random.standard_normal(2**bits).astype(dtype)

    def make() -> Any:
        packed = pack_elements_into_bits(indices, bits)
        yield mb.constexpr_lut_to_dense(indices=packed, lut=lut, shape=np.uint32(shape), name="palette")

    read = compare(make, ct.target.iOS16)
    np.testing.assert_array_equal(read.constants["palette"], lut[indices].reshape(shape).astype(np.float32))


@few
@given(
    blocks=block_shapes,
    bits=st.sampled_from([1, 2, 3, 4, 6, 8]),
    vector=st.integers(1, 3),
    data=st.data(),
    dtype=floats,
    seed=seeds,
)
def test_palettes_for_blocks_and_vectors(
    blocks: list[tuple[int, int]], bits: int, vector: int, data: Any, dtype: Any, seed: int
) -> None:
    random = np.random.default_rng(seed)
    shape = [count * size for count, size in blocks]
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    kind = types.nptype_from_builtin(types.get_nbits_int_builtin_type(bits, False))
    indices = random.integers(0, 2**bits, shape).astype(kind)
    lut = random.standard_normal([*(count for count, _ in blocks), 2**bits, vector]).astype(dtype)
    along = {"vector_axis": axis} if vector > 1 else {}

    def make() -> Any:
        yield mb.constexpr_lut_to_dense(indices=indices, lut=lut, name="palette", **along)

    compare(make, ct.target.iOS18)


def test_a_palette_of_integers_can_be_scaled() -> None:
    """Nested compression: the lookup's result is the next one's input."""
    random = np.random.default_rng(0)
    indices = random.integers(0, 16, (6, 8)).astype(types.nptype_from_builtin(types.uint4))
    lut = random.integers(-127, 128, (1, 1, 16, 1)).astype(np.int8)
    scale = np.linspace(0.5, 1, 6, dtype=np.float16).reshape(6, 1)

    def make() -> Any:
        integers = mb.constexpr_lut_to_dense(indices=indices, lut=lut, name="integers")
        yield mb.constexpr_blockwise_shift_scale(data=integers, scale=scale, name="scaled")

    read = compare(make, ct.target.iOS18)
    expected = (lut[0, 0, indices.astype(int), 0] * scale.astype(np.float64)).astype(np.float16)
    np.testing.assert_array_equal(read.constants["scaled"], expected.astype(np.float32))


@pytest.mark.parametrize("size", [1, 9, 10, 1000])
def test_float16_weights_may_be_cast(size: int) -> None:
    stored = np.random.default_rng(0).standard_normal(size).astype(np.float16)

    def make() -> Any:
        yield mb.constexpr_cast(source_val=stored, output_dtype="fp32", name="cast")

    compare(make, ct.target.iOS16)


@few
@given(
    size=st.one_of(st.integers(1, 40), st.integers(1000, 1010)),
    kind=st.sampled_from(
        [np.float32, np.float16, np.int32, np.int8, np.uint8, np.int16, np.uint16, np.bool_]
    ),
    seed=seeds,
)
def test_stored_weights_are_read_whatever_their_type_and_size(size: int, kind: Any, seed: int) -> None:
    values = (np.random.default_rng(seed).standard_normal(size) * 50).astype(kind)

    def make() -> Any:
        yield mb.const(val=values, name="stored")

    read = compare(make, ct.target.iOS18)
    held = read.constants["stored"]
    assert isinstance(held, np.ndarray) and held.shape == (size,)


def test_a_table_that_feeds_two_operators_is_held_once() -> None:
    stored = np.ones((20, 4), np.int8)
    plain = np.ones((20, 4), np.float16)
    ids = np.array([1, 2], np.int32)

    def program(ids: Any) -> Any:
        scale = np.full((20, 1), 0.5, np.float16)
        table = mb.constexpr_blockwise_shift_scale(data=stored, scale=scale, name="table")
        rows = mb.gather(x=table, indices=ids, axis=0)
        mb.gather(x=plain, indices=ids, axis=0)
        return mb.linear(x=rows, weight=table)

    read = build(program, {"ids": ids})
    big = [value for value in read.constants.values() if np.size(value) == 80]
    assert len(big) == 2 and all(isinstance(value, np.ndarray) for value in big)
    readers = [step.type for step in read.operations if ("table",) in step.inputs.values()]
    assert readers == ["gather", "linear"]
    assert observe(read, {"ids": ids}, rounding=False)
