"""An ONNX graph while it is written: nodes, weights, and the file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from bertmobile_export.quantization.packing import pack_bits
from bertmobile_export.targets.onnx.size import check_size

Array = NDArray[Any]
CONTRIB = "com.microsoft"
OPSET = 21
# ONNX Runtime reads this version of the format and all before it.
IR_VERSION = 10
# Field numbers of onnx.proto3: ModelProto.graph, GraphProto.initializer, TensorProto.raw_data.
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_LENGTH_DELIMITED = 2


class Graph:
    """Collects nodes and weights; arrays are kept as views until :meth:`write` streams them into the file."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, Array] = {}
        self._headers: dict[str, TensorProto] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._uses_contrib = False
        self.names: set[str] = set()
        """Of all nodes."""

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        """Declare an input; symbolic sizes are strings."""
        self._inputs.append(helper.make_tensor_value_info(name, _element_type(dtype), shape))
        return name

    def output(self, name: str, value: str, dtype: Any, shape: Sequence[int | str]) -> None:
        """Declare that ``value`` is the output ``name``."""
        for node in self._nodes:
            node.output[:] = [name if output == value else output for output in node.output]
            node.input[:] = [name if source == value else source for source in node.input]
        self._outputs.append(helper.make_tensor_value_info(name, _element_type(dtype), shape))

    def weight(self, name: str, values: Array) -> str:
        """Store an array once under ``name``."""
        if name not in self._weights:
            self._weights[name] = values
            element = _element_type(values.dtype)
            self._headers[name] = TensorProto(name=name, dims=values.shape, data_type=element)
        return name

    def nibbles(self, name: str, codes: NDArray[np.int8 | np.uint8]) -> str:
        """Store codes of 4 bits, two in a byte; int8 ones are signed."""
        element = TensorProto.INT4 if codes.dtype == np.int8 else TensorProto.UINT4
        self._weights[name] = pack_bits(codes, 4)
        self._headers[name] = TensorProto(name=name, dims=codes.shape, data_type=element)
        return name

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """A small constant; equal ones share a name."""
        array = np.asarray(values, dtype=dtype)
        text = "x".join(map(str, array.ravel().tolist())) or "empty"
        return self.weight(f"const.{array.dtype}.{array.ndim}.{text}", array)

    def node(self, operator: str, *inputs: str, name: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output, which has the node's name."""
        return self.nodes(operator, *inputs, name=name, outputs=(name,), domain=domain, **attributes)[0]

    def nodes(
        self,
        operator: str,
        *inputs: str,
        name: str,
        outputs: Sequence[str],
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node with several outputs; returns their names."""
        if name in self.names:
            raise ValueError(f"two nodes are called {name}")
        self.names.add(name)
        self._uses_contrib |= domain == CONTRIB
        node = helper.make_node(operator, inputs, outputs, name=name, domain=domain, **attributes)
        self._nodes.append(node)
        return list(outputs)

    def contrib(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """A node of ONNX Runtime's own operator set."""
        return self.node(operator, *inputs, name=name, domain=CONTRIB, **attributes)

    def write(self, path: Path, *, opset: int = OPSET, metadata: dict[str, str]) -> None:
        """Write the model, one weight at a time.

        Raises:
            UsageError: the file would be larger than the 2 GiB that protobuf allows.
        """
        graph = GraphProto(name="bert", node=self._nodes, input=self._inputs, output=self._outputs)
        opsets = [helper.make_opsetid("", opset)]
        if self._uses_contrib:
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        model = ModelProto(ir_version=IR_VERSION, producer_name="bertmobile", opset_import=opsets)
        helper.set_model_props(model, metadata)
        structure = graph.SerializeToString(deterministic=True)
        headers = {name: _described(self._headers[name], values) for name, values in self._weights.items()}
        size = len(structure) + sum(len(h) + self._weights[n].nbytes for n, h in headers.items())
        start = model.SerializeToString(deterministic=True) + _tag(_GRAPH, size) + structure
        check_size(len(start) - len(structure) + size)
        with path.open("wb") as file:
            file.write(start)
            for name, header in headers.items():
                file.write(header)
                _write_array(file, self._weights[name])


def _write_array(file: BinaryIO, values: Array) -> None:
    file.write(np.ascontiguousarray(values).data.cast("B") if values.size else b"")


def _element_type(dtype: Any) -> int:
    element: int = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return element


def _described(header: TensorProto, values: Array) -> bytes:
    """Everything of an initializer in front of its bytes."""
    described: bytes = header.SerializeToString(deterministic=True) + _tag(_RAW_DATA, values.nbytes)
    return _tag(_INITIALIZER, len(described) + values.nbytes) + described


def _tag(field: int, length: int) -> bytes:
    """Key and length of a length-delimited field (https://protobuf.dev/programming-guides/encoding)."""
    return bytes((*_varint(field << 3 | _LENGTH_DELIMITED), *_varint(length)))


def _varint(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
