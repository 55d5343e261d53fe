"""One traced graph, rewritten for each length, is the network at that length, with one set of weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st

from bertmobile_export.targets.tflite import buckets, flatbuffer
from tests.checkpoints import MODELS, TINY

from .conversions import Converted, weight_tensors

TOLERANCE = 1e-4
HIDDEN = TINY["hidden_size"]
POSITIONS = TINY["max_position_embeddings"]
# Structure of two layers; their weights are 170 KB.
BYTES_PER_BUCKET = 40_000

Convert = Callable[..., Converted]


def is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, number))


def assert_equals_network(path: Path, converted: Converted, length: int) -> None:
    runner = Interpreter(str(path)).get_signature_runner(buckets.signature_name(length))
    for tokens in sorted({3, length // 2 + 1, length - 1, length}):
        inputs = converted.inputs(length, tokens, seed=tokens)
        found, expected = runner(**inputs), converted.expected(inputs)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], values, rtol=0, atol=TOLERANCE, err_msg=name)


@given(st.lists(st.integers(4, 600), min_size=1), st.sets(st.integers(1, 600)))
def test_the_traced_length_is_a_prime_that_no_dimension_has(lengths: list[int], taken: set[int]) -> None:
    traced = buckets.trace_length(lengths, taken)
    assert is_prime(traced)
    assert traced not in taken
    free = [n for n in range(5, max(lengths) + 1) if is_prime(n) and n not in taken]
    if free:
        assert traced == free[-1]
    else:
        assert traced > max(lengths)


def test_the_traced_length_is_found_above_the_buckets_when_all_below_are_taken() -> None:
    assert buckets.trace_length((8,), {5, 7}) == 11
    assert buckets.trace_length((4,), {1}) == 5


@pytest.mark.parametrize(
    "lengths", [(8,), (7, 13), (HIDDEN,), (HIDDEN // 4, HIDDEN * 2, POSITIONS - 1, POSITIONS)], ids=str
)
# A conversion takes seconds; these two have all kinds of rows and outputs.
@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, marks=() if task in ("fill-mask", "feature-extraction") else pytest.mark.slow)
        for task in MODELS
    ],
)
def test_every_bucket_equals_the_network(
    task: str, lengths: tuple[int, ...], converted: Convert, tmp_path: Path
) -> None:
    source = converted(task)
    path = source.write(tmp_path / "model.tflite", lengths)
    signatures = Interpreter(str(path)).get_signature_list()
    assert sorted(signatures) == sorted(buckets.signature_name(length) for length in lengths)
    for length in lengths:
        assert_equals_network(path, source, length)


@pytest.mark.slow
def test_a_network_traced_beyond_its_positions_equals_it_all_the_same(
    converted: Convert, tmp_path: Path
) -> None:
    # Head size 7 and five mask slots leave no prime up to the only bucket.
    source = converted("fill-mask", 8, hidden_size=28, max_position_embeddings=8)
    assert source.traced > source.config.max_position_embeddings
    assert_equals_network(source.write(tmp_path / "model.tflite", (8,)), source, 8)


def test_no_signature_asks_for_position_ids(converted: Convert, tmp_path: Path) -> None:
    path = converted("fill-mask").write(tmp_path / "model.tflite", (8, 16))
    for entry in Interpreter(str(path)).get_signature_list().values():
        assert sorted(entry["inputs"]) == [
            "attention_mask", "input_ids", "mask_positions", "token_type_ids",
        ]  # fmt: skip


def test_weights_are_stored_once_however_many_buckets(converted: Convert, tmp_path: Path) -> None:
    source = converted("fill-mask")
    one = source.write(tmp_path / "one.tflite", (128,)).stat().st_size
    lengths = (8, 16, 32, 64, 96, 128)
    path = source.write(tmp_path / "six.tflite", lengths)
    assert path.stat().st_size - one < (len(lengths) - 1) * BYTES_PER_BUCKET

    model = flatbuffer.read(path.read_bytes())
    table_shape = [source.config.vocab_size, HIDDEN]
    tables = [tensor for _, tensor in weight_tensors(model) if list(tensor.shape) == table_shape]
    # The look-up and the tied decoder of every subgraph.
    assert len(tables) == 2 * len(lengths)
    assert len({tensor.buffer for tensor in tables}) == 1
    everywhere = [{tensor.buffer for tensor in subgraph.tensors} for subgraph in model.subgraphs]
    assert all(tables[0].buffer in buffers for buffers in everywhere)


def _non_size_constant(model: flatbuffer.Model, kind: int) -> schema.TensorT:
    """A constant of the graph that no operator takes as a size."""
    subgraph = model.subgraphs[0]
    sizes = {
        operator.inputs[operand]
        for operator in subgraph.operators
        for operand in buckets.SIZE_OPERANDS.get(flatbuffer.operator_name(model, operator), ())
    }
    return next(
        tensor
        for index, tensor in enumerate(subgraph.tensors)
        if index not in sizes and tensor.type == kind and flatbuffer.constant(model, tensor) is not None
    )


def _set_data(model: flatbuffer.Model, tensor: schema.TensorT, values: np.ndarray) -> None:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    tensor.buffer = len(model.buffers)
    model.buffers.append(buffer)


def test_a_table_as_long_as_the_traced_text_is_refused(converted: Convert) -> None:
    source = converted("fill-mask")
    model = flatbuffer.read(source.content)
    tensor = _non_size_constant(model, schema.TensorType.FLOAT32)
    tensor.shape = np.array([source.traced, 1], np.int32)
    with pytest.raises(ValueError, match=f"depends on the traced length {source.traced}"):
        buckets.specialise(model, source.traced, (8,))


def test_an_integer_constant_that_holds_the_length_is_refused(converted: Convert) -> None:
    source = converted("fill-mask")
    model = flatbuffer.read(source.content)
    tensor = _non_size_constant(model, schema.TensorType.INT32)
    _set_data(model, tensor, np.array([source.traced], np.int32))
    with pytest.raises(ValueError, match=f"depends on the traced length {source.traced}"):
        buckets.specialise(model, source.traced, (8,))


def test_a_quantized_bias_may_hold_any_number(converted: Convert) -> None:
    source = converted("fill-mask")
    model = flatbuffer.read(source.content)
    tensor = _non_size_constant(model, schema.TensorType.FLOAT32)
    tensor.type = schema.TensorType.INT32
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = np.ones(1, np.float32)
    _set_data(model, tensor, np.full(tensor.shape, source.traced, np.int32))
    buckets.specialise(model, source.traced, (8,))


def test_a_file_with_several_subgraphs_is_refused(converted: Convert) -> None:
    source = converted("fill-mask")
    model = flatbuffer.read(source.content)
    buckets.specialise(model, source.traced, (8, 16))
    with pytest.raises(ValueError, match="one subgraph"):
        buckets.specialise(model, source.traced, (8,))
