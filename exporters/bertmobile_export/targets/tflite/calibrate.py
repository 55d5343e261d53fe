"""Activation ranges of a float32 LiteRT model, measured by the runtime that will use them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from bertmobile_export.targets.tflite import flatbuffer
from bertmobile_export.targets.tflite.buckets import signature_name

Ranges = dict[str, dict[str, NDArray[np.float32]]]


def activation_ranges(
    model: flatbuffer.Model,
    path: Path,
    lengths: tuple[int, ...],
    samples: Iterable[Mapping[str, NDArray[np.int64]]],
    operators: tuple[str, ...],
) -> Ranges:
    """The smallest and largest value of each tensor around some operators, padding left out.

    litert-quantizer's own calibrator counts padding, and averages over the last twenty texts or so.

    Args:
        model: the converted float32 model, one subgraph.
        path: the same with one signature for each of ``lengths``.
        lengths: its buckets.
        samples: inputs in the longest bucket, [1, longest] each; run in the shortest that holds the text.
        operators: operators whose inputs and outputs are wanted, by their names in the schema.

    Returns:
        ``{"min": [[x]], "max": [[y]]}`` float32 by tensor name, as litert-quantizer takes them.
    """
    wanted = _tensors(model, operators)
    interpreter = Interpreter(str(path), num_threads=2, experimental_preserve_all_tensors=True)
    extremes: dict[str, tuple[float, float]] = {}
    for sample in samples:
        tokens = int(sample["attention_mask"].sum())
        index = next(i for i, length in enumerate(lengths) if length >= tokens)
        length = lengths[index]
        runner = interpreter.get_signature_runner(signature_name(length))
        runner(
            **{
                name: (values if name == "mask_positions" else values[:, :length]).astype(np.int32)
                for name, values in sample.items()
            }
        )
        for name, tensor in wanted.items():
            values = interpreter.get_tensor(tensor, index)
            rows = values[:tokens] if values.shape[0] == length else values
            low, high = extremes.get(name, (np.inf, -np.inf))
            extremes[name] = (min(low, float(rows.min())), max(high, float(rows.max())))
    return {
        name: {"min": np.array([[low]], np.float32), "max": np.array([[high]], np.float32)}
        for name, (low, high) in extremes.items()
    }


def _tensors(model: flatbuffer.Model, operators: tuple[str, ...]) -> dict[str, int]:
    """Name and index of the computed tensors that ``operators`` read and write; alike in every bucket."""
    subgraph = model.subgraphs[0]
    return {
        subgraph.tensors[tensor].name.decode(): tensor
        for operator in subgraph.operators
        if flatbuffer.operator_name(model, operator) in operators
        for tensor in (*operator.inputs, *operator.outputs)
        if tensor >= 0 and flatbuffer.constant(model, subgraph.tensors[tensor]) is None
    }
