"""Length buckets: one converted graph rewritten for each length, so that all share one set of weights.

LiteRT graphs have fixed shapes. Converting the network once for each length costs its seconds each time and
leaves the sharing of weights to chance; but between two lengths nothing differs except dimensions equal to
the length. So the network is traced once at a length that no other dimension equals, and every occurrence
of that number is replaced.
"""

import copy
import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from bertmobile_export.targets.tflite import flatbuffer

# Operators with operands that hold sizes, and which operands those are.
SIZE_OPERANDS = {
    "RESHAPE": (1,),
    "BROADCAST_TO": (1,),
    "FILL": (0,),
    "SLICE": (1, 2),
    "STRIDED_SLICE": (1, 2),
}
POSITION_IDS = "position_ids"


def signature_name(length: int) -> str:
    """The name of the signature for a bucket of ``length`` tokens."""
    return f"seq_{length}"


def trace_length(lengths: Sequence[int], taken: Iterable[int]) -> int:
    """A length to trace at: a prime that equals no other dimension, the largest up to the longest bucket.

    Args:
        lengths: the buckets, in tokens.
        taken: every other dimension of the network.
    """
    taken = set(taken)
    longest = max(lengths)
    below = range(longest, 4, -1)
    above = range(longest + 1, longest + 10_000)
    for candidate in itertools.chain(below, above):
        if candidate not in taken and all(candidate % n for n in range(2, math.isqrt(candidate) + 1)):
            return candidate
    raise ValueError(f"no length to trace at for {sorted(lengths)}")


class _Rewriter:
    """Makes copies of the first subgraph of ``model`` with ``traced`` replaced by other lengths."""

    def __init__(self, model: flatbuffer.Model, traced: int) -> None:
        self.model = model
        self.traced = traced
        self.subgraph = model.subgraphs[0]
        self.signature = model.signatureDefs[0]
        self.size_tensors = self._find_size_tensors()

    def _find_size_tensors(self) -> set[int]:
        """Indices of the constants that hold sizes, checked to be the only ones that depend on the length."""
        sizes = {
            operator.inputs[operand]
            for operator in self.subgraph.operators
            for operand in SIZE_OPERANDS.get(flatbuffer.operator_name(self.model, operator), ())
        }
        for index, tensor in enumerate(self.subgraph.tensors):
            data = flatbuffer.constant(self.model, tensor)
            if data is None or index in sizes:
                continue
            depends = self.traced in (tensor.shape if tensor.shape is not None else ())
            # Quantized biases are numbers, not sizes.
            scaled = tensor.quantization is not None and tensor.quantization.scale is not None
            if tensor.type == schema.TensorType.INT32 and not scaled:
                depends |= self.traced in data.view(np.int32)
            if depends:
                name = tensor.name.decode() if tensor.name else index
                raise ValueError(f"constant {name} depends on the traced length {self.traced}")
        return sizes

    def _add_buffer(self, values: np.ndarray) -> int:
        raw = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
        return flatbuffer.add_buffer(self.model, raw)

    def _replace(self, values: np.ndarray, length: int) -> np.ndarray:
        return np.where(values == self.traced, np.array(length, values.dtype), values)

    def subgraph_for(self, length: int) -> schema.SubGraphT:
        """A copy of the subgraph for ``length`` tokens, position ids baked in."""
        subgraph = copy.copy(self.subgraph)
        subgraph.name = signature_name(length).encode()
        subgraph.tensors = [copy.copy(tensor) for tensor in self.subgraph.tensors]
        subgraph.operators = [copy.copy(operator) for operator in self.subgraph.operators]
        for index, tensor in enumerate(subgraph.tensors):
            for shape in ("shape", "shapeSignature"):
                if getattr(tensor, shape) is not None:
                    setattr(
                        tensor, shape, self._replace(np.asarray(getattr(tensor, shape), np.int32), length)
                    )
            data = flatbuffer.constant(self.model, tensor)
            if index in self.size_tensors and data is not None:
                tensor.buffer = self._add_buffer(self._replace(data.view(np.int32), length))
        for operator in subgraph.operators:
            options = operator.builtinOptions
            if isinstance(options, schema.ReshapeOptionsT) and options.newShape is not None:
                operator.builtinOptions = copy.copy(options)
                operator.builtinOptions.newShape = self._replace(np.asarray(options.newShape), length)
        positions = {
            entry.tensorIndex for entry in self.signature.inputs if entry.name.decode() == POSITION_IDS
        }
        for index in positions:
            subgraph.tensors[index].buffer = self._add_buffer(np.arange(length, dtype=np.int32))
        subgraph.inputs = np.array([i for i in subgraph.inputs if i not in positions], np.int32)
        return subgraph

    def signature_for(self, length: int, subgraph_index: int) -> schema.SignatureDefT:
        signature = copy.copy(self.signature)
        signature.signatureKey = signature_name(length).encode()
        signature.subgraphIndex = subgraph_index
        signature.inputs = [entry for entry in self.signature.inputs if entry.name.decode() != POSITION_IDS]
        return signature


def specialise(model: flatbuffer.Model, traced: int, lengths: Sequence[int]) -> None:
    """Replace the one subgraph of ``model``, traced at ``traced`` tokens, by one for each of ``lengths``.

    Raises:
        ValueError: a constant of the graph depends on the length in a way that is not understood.
    """
    if len(model.subgraphs) != 1 or len(model.signatureDefs) != 1:
        raise ValueError("expected one subgraph with one signature")
    rewriter = _Rewriter(model, traced)
    model.subgraphs = [rewriter.subgraph_for(length) for length in lengths]
    model.signatureDefs = [rewriter.signature_for(length, i) for i, length in enumerate(lengths)]
