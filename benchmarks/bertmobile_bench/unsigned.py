"""A quantized ONNX model whose products read weights as uint8 with the zero point 128.

ONNX Runtime multiplies such weights by other kernels, which add up in 32 bits on every processor: the answers
are exact, and on x86 with VNNI they take longer (see docs/onnx.md). To compare with what we write.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

# Where each operator that multiplies 8-bit codes has its weights and their zero point.
# Without one nothing is multiplied.
_WEIGHTS = {"MatMulIntegerToFloat": (1, 5), "QGemm": (3, 5), "DequantizeLinear": (0, 2)}
_MIDDLE = 128


def with_unsigned_weights(model: ModelProto) -> ModelProto:
    """The same model, otherwise as it was; what is new are constants for ONNX Runtime, folded at load."""
    changed = ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    wide = {each.name: each for each in graph.initializer if each.data_type == TensorProto.INT32}
    quantized = {node.output[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    middle = numpy_helper.from_array(np.array(_MIDDLE, np.int16), "unsigned.middle")
    graph.initializer.append(middle)
    made: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        codes, zeros = _WEIGHTS.get(node.op_type, (0, 0))
        if 0 < zeros < len(node.input) and node.input[codes] not in wide.keys() | quantized:
            for place in (codes, zeros):
                node.input[place] = _unsigned(node.input[place], made, nodes)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return changed


def _unsigned(value: str, made: dict[str, str], nodes: list[NodeProto]) -> str:
    """The name of int8 ``value`` plus 128, as uint8; of zero points that are left out, 128 alone."""
    if value not in made:
        made[value] = f"{value}.unsigned"
        source = "unsigned.middle"
        if value:
            steps = (
                helper.make_node("Cast", [value], [f"{value}.wide"], to=TensorProto.INT16),
                helper.make_node("Add", [f"{value}.wide", source], [f"{value}.above_zero"]),
            )
            nodes.extend(steps)
            source = f"{value}.above_zero"
        nodes.append(helper.make_node("Cast", [source], [made[value]], to=TensorProto.UINT8))
    return made[value]


def convert(source: Path, path: Path) -> None:
    """Write the model at ``source`` with unsigned weights."""
    onnx.save(with_unsigned_weights(onnx.load(source)), path)
