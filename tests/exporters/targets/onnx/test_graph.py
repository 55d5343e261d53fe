"""The writer of ONNX files: what it streams is what onnx reads, and refusals come before a file is begun."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bertmobile.errors import UsageError
from bertmobile_export.targets.onnx.graph import CONTRIB, IR_VERSION, OPSET, Graph
from tests.messages import error_of

DTYPES = [np.float32, np.float16, np.float64, np.int8, np.uint8, np.int32, np.int64, np.bool_]


@st.composite
def views(draw: st.DrawFn) -> np.ndarray:
    """Arrays of the types that a model stores, as they are or as views with other strides."""
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    values = draw(arrays.arrays(draw(st.sampled_from(DTYPES)), shape))
    match draw(st.sampled_from(["plain", "transposed", "reversed", "every other", "read-only"])):
        case "transposed":
            return values.T
        case "reversed" if values.ndim:
            return values[::-1]
        case "every other" if values.ndim:
            return values[..., ::2]
        case "read-only":
            values.flags.writeable = False
    return values


def graph_of(weights: dict[str, np.ndarray]) -> Graph:
    graph = Graph()
    value = graph.node("Identity", graph.input("x", np.int64, ["n"]), name="same")
    graph.output("y", value, np.int64, ["n"])
    for name, values in weights.items():
        graph.weight(name, values)
    return graph


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(views(), max_size=4))
def test_onnx_reads_back_what_was_written(values: list[np.ndarray], tmp_path: Path) -> None:
    weights = {f"weight.{index}": each for index, each in enumerate(values)}
    path = tmp_path / "model.onnx"
    graph_of(weights).write(path, metadata={"task": "none"})
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    read = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    assert list(read) == list(weights)
    for name, expected in weights.items():
        assert read[name].dtype == expected.dtype and read[name].shape == expected.shape
        assert read[name].tobytes() == expected.tobytes()


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    graph = graph_of({})
    graph.write(path, metadata={"task": "none", "recipe": "float32"})
    model = onnx.load(path)
    assert (model.ir_version, model.producer_name) == (IR_VERSION, "bertmobile")
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    assert {each.key: each.value for each in model.metadata_props} == {"task": "none", "recipe": "float32"}
    graph.contrib("BiasGelu", "x", "x", name="own")
    graph.write(path, metadata={})
    assert [each.domain for each in onnx.load(path).opset_import] == ["", CONTRIB]


def test_equal_constants_share_a_name_and_others_do_not() -> None:
    graph = Graph()
    assert graph.constant([1, 2]) == graph.constant([1, 2])
    names = [
        graph.constant(1),
        graph.constant([1]),
        graph.constant([[1]]),
        graph.constant(1.0, np.float32),
        graph.constant(1, np.uint8),
        graph.constant([1, 1]),
        graph.constant(11),
        graph.constant(-1),
        graph.constant([]),
    ]
    assert len(set(names)) == len(names)


def test_two_nodes_with_one_name_are_refused() -> None:
    graph = graph_of({})
    with pytest.raises(ValueError, match="same"):
        graph.node("Identity", "x", name="same")


def test_more_than_a_file_can_hold_is_a_usage_error_before_anything_is_written(tmp_path: Path) -> None:
    huge = np.broadcast_to(np.float32(0), (2**15, 2**14))  # 2 GiB that take four bytes of memory
    path = tmp_path / "model.onnx"
    message = error_of(UsageError, graph_of({"huge": huge}).write, path, metadata={})
    assert "2.1 GB" in message and "--int8" in message
    assert not path.exists()
