"""Codes into a float32 LiteRT model, in place of the weights that they stand for."""

import hashlib
from collections.abc import Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from torch import nn

from bertmobile_export.network import Network
from bertmobile_export.network.encoder import Layer
from bertmobile_export.quantization import QuantizedMatrix
from bertmobile_export.quantization.packing import pack_bits
from bertmobile_export.quantization.weights import matrices
from bertmobile_export.targets.tflite import flatbuffer

# Operators with a matrix of weights, which is their second operand.
OPERATORS = ("FULLY_CONNECTED", "EMBEDDING_LOOKUP")
_TYPES = {2: schema.TensorType.INT2, 4: schema.TensorType.INT4, 8: schema.TensorType.INT8}


def pack(model: flatbuffer.Model, network: Network) -> None:
    """Replace the float32 constants that hold a matrix of ``network.codes`` by its codes and scales.

    The kernels quantize the rows of a float32 input themselves where the weights are integers.

    Args:
        model: the converted network, one subgraph.
        network: what was converted, its weights being those that the codes stand for.

    Raises:
        ValueError: a matrix is not in the model, or a constant stands for none.
    """
    (subgraph,) = model.subgraphs
    known = _by_content(network)
    missing = set(network.codes)
    for index in _weights(model, subgraph):
        tensor = subgraph.tensors[index]
        data = flatbuffer.constant(model, tensor)
        found = None if data is None else known.get(_digest(data))
        if found is None:
            continue
        name, factor = found
        missing.discard(name)
        _store(model, subgraph, tensor, network.codes[name], factor)
    if missing:
        raise ValueError(f"the converted model does not hold {', '.join(sorted(missing))} as they are")


def check(model: flatbuffer.Model, network: Network) -> None:
    """See that a model which litert-quantizer made holds the codes of the network.

    Raises:
        ValueError: it chose others.
    """
    (subgraph,) = model.subgraphs
    stored = (flatbuffer.constant(model, tensor) for tensor in subgraph.tensors)
    digests = {_digest(data) for data in stored if data is not None}
    other = [
        name
        for name, matrix in network.codes.items()
        if _digest(pack_bits(matrix.codes, matrix.form.bits)) not in digests
    ]
    if other:
        raise ValueError(f"litert-quantizer chose other codes for {', '.join(other)}")


def _weights(model: flatbuffer.Model, subgraph: schema.SubGraphT) -> list[int]:
    """The tensors that hold weights, each once."""
    return sorted(
        {
            int(operator.inputs[1])
            for operator in subgraph.operators
            if flatbuffer.operator_name(model, operator) in OPERATORS
        }
    )


def _by_content(network: Network) -> dict[bytes, tuple[str, float]]:
    """Matrices by the bytes of their constants, with the factor that the constant has taken in."""
    scales = {
        f"encoder.layers.{index}.query": layer.scale
        for index, layer in enumerate(network.encoder.layers)
        if isinstance(layer, Layer)
    }
    known = {}
    for name, values in _codes_of(network):
        known[_digest(values)] = name, 1.0
        # The converter multiplies a query's weights by the scale of the scores.
        if name in scales:
            known[_digest(values * np.float32(scales[name]))] = name, scales[name]
    return known


def _codes_of(network: Network) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for name, module in matrices(network):
        if name in network.codes:
            assert isinstance(module, nn.Linear | nn.Embedding)
            yield name, module.weight.numpy()


def _digest(values: NDArray[np.uint8] | NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()


def _store(
    model: flatbuffer.Model,
    subgraph: schema.SubGraphT,
    tensor: schema.TensorT,
    matrix: QuantizedMatrix,
    factor: float,
) -> None:
    tensor.type = _TYPES[matrix.form.bits]
    tensor.buffer = flatbuffer.add_buffer(model, pack_bits(matrix.codes, matrix.form.bits))
    scales = matrix.scales * np.float32(factor)
    parameters = schema.QuantizationParametersT()
    parameters.quantizedDimension = 0
    if matrix.form.granularity == "block":
        details = schema.BlockwiseQuantizationT()
        details.scales = _add_scales(model, subgraph, tensor.name, scales)
        details.zeroPoints = -1
        details.blockSize = matrix.form.block_size
        parameters.detailsType = schema.QuantizationDetails.BlockwiseQuantization
        parameters.details = details
    else:
        shared = matrix.form.granularity == "tensor"
        parameters.scale = scales[:1, 0] if shared else scales[:, 0]
        parameters.zeroPoint = np.zeros(len(parameters.scale), np.int64)
    tensor.quantization = parameters


def _add_scales(
    model: flatbuffer.Model, subgraph: schema.SubGraphT, name: bytes, scales: NDArray[np.float32]
) -> int:
    """Append a constant of half-precision scales [rows, blocks]; returns the tensor's index."""
    tensor = schema.TensorT()
    tensor.name = name + b"_scales"
    tensor.shape = np.array(scales.shape, np.int32)
    tensor.type = schema.TensorType.FLOAT16
    raw = np.frombuffer(scales.astype(np.float16).tobytes(), np.uint8)
    tensor.buffer = flatbuffer.add_buffer(model, raw)
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1
