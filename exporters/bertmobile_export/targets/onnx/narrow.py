"""Codes of fewer than 8 bits: packed in the file, widened to 8 bits when a session is made.

ONNX Runtime computes nodes that depend on constants only once, while it loads a model (constant folding,
https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html). Widening costs nothing
later on: integer kernels run as on a file of 8 bits, where MatMulNBits takes longer than float32 (measured on
x86 with 1.28). What each node returns stays in memory until the model is loaded, so that few are better.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from bertmobile_export.quantization import QuantizedMatrix
from bertmobile_export.targets.onnx.graph import Graph
from bertmobile_export.targets.onnx.size import NIBBLE, stored_columns


def widen(graph: Graph, name: str, matrix: QuantizedMatrix, *, transposed: bool) -> str:
    """Store a matrix of fewer than 8 bits.

    Args:
        graph: where nodes and weights go.
        name: what their names begin with.
        matrix: of 4 to 6 bits, with a scale for each row.
        transposed: whether columns come first.

    Returns:
        The name of the 8-bit codes, int8 [rows, columns], or [columns, rows] where ``transposed``.
    """
    rows, columns = matrix.codes.shape
    rest = matrix.form.bits - NIBBLE
    parts = 8 // rest if rest else 1
    width = stored_columns(matrix.form, columns)
    blocks = 1 if matrix.multipliers is None else matrix.multipliers.shape[1]
    padded = np.zeros((rows, width), np.int8)
    padded[:, :columns] = matrix.codes
    # One axis for the blocks of a row, one for the places of what is left of a code in its byte.
    order = (1, 2, 3, 0) if transposed else (0, 1, 2, 3)
    codes = padded.reshape(rows, blocks, parts, -1).transpose(order)
    value = _codes(graph, name, codes, rest, axis=order.index(2))
    if matrix.multipliers is not None:
        each = matrix.multipliers.reshape(rows, blocks, 1, 1).transpose(order)
        multipliers = _as_int8(graph, graph.nibbles(f"{name}.multipliers", each), f"{name}.multipliers.int8")
        value = graph.node("Mul", value, multipliers, name=f"{name}.products")
    shape = graph.constant([width, rows] if transposed else [rows, width])
    value = graph.node("Reshape", value, shape, name=f"{name}.int8")
    if width == columns:
        return value
    ends = [graph.constant([number]) for number in (0, columns, 0 if transposed else 1)]
    return graph.node("Slice", value, *ends, name=f"{name}.int8.columns")


def _codes(graph: Graph, name: str, codes: NDArray[np.int8], rest: int, axis: int) -> str:
    """Codes of any shape: their upper four bits, and of those left, ``rest``, bytes along ``axis``."""
    upper = _as_int8(graph, graph.nibbles(f"{name}.upper", codes >> rest), f"{name}.upper.int8")
    if not rest:
        return upper
    shifts = (np.arange(codes.shape[axis], dtype=np.uint8) * rest).reshape(-1, *[1] * (codes.ndim - axis - 1))
    mask = np.uint8(2**rest - 1)
    lower = np.bitwise_or.reduce((codes.view(np.uint8) & mask) << shifts, axis=axis, keepdims=True)
    packed = graph.weight(f"{name}.lower", lower)
    places = graph.constant(shifts, np.uint8)
    shifted = graph.node("BitShift", packed, places, name=f"{name}.lower.shifted", direction="RIGHT")
    alone = graph.node("BitwiseAnd", shifted, graph.constant(mask, np.uint8), name=f"{name}.lower.bits")
    raised = graph.node("Mul", upper, graph.constant(2**rest, np.int8), name=f"{name}.upper.raised")
    return graph.node("Add", raised, _as_int8(graph, alone, f"{name}.lower.int8"), name=f"{name}.codes")


def _as_int8(graph: Graph, value: str, name: str) -> str:
    return graph.node("Cast", value, name=name, to=TensorProto.INT8)
