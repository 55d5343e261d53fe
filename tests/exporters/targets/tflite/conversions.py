"""Tiny networks converted once, and what the tests ask of the files made from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.network import Network
from bertmobile_export.recipes import Recipe
from bertmobile_export.targets.tflite import buckets, flatbuffer, pack, quantize

Inputs = dict[str, NDArray[np.int32]]


@dataclass(frozen=True)
class Converted:
    """A network and its float32 file with the one signature that it was traced with."""

    network: Network
    content: bytes
    traced: int
    slots: int | None

    @property
    def config(self) -> ModelConfig:
        return self.network.config

    def write(self, path: Path, lengths: Sequence[int], content: bytes | None = None) -> Path:
        """Specialise for ``lengths`` and write; ``content`` is a quantized version of the file."""
        model = flatbuffer.read(self.content if content is None else content)
        buckets.specialise(model, self.traced, lengths)
        flatbuffer.write(model, path)
        return path

    def inputs(self, length: int, tokens: int, seed: int = 0) -> Inputs:
        """``tokens`` random tokens of both types, padded to ``length``."""
        random = np.random.default_rng(seed)
        keep = np.arange(length) < tokens
        values = {
            "input_ids": random.integers(1, self.config.vocab_size, length) * keep,
            "attention_mask": keep,
            "token_type_ids": (np.arange(length) >= tokens // 2) * keep,
        }
        if self.slots:
            values["mask_positions"] = random.integers(0, tokens, self.slots)
        return {name: row[None].astype(np.int32) for name, row in values.items()}

    def expected(self, inputs: Inputs) -> dict[str, NDArray[np.float32]]:
        """The network's own outputs."""
        with torch.inference_mode():
            outputs = self.network(**{name: torch.from_numpy(row).long() for name, row in inputs.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def stored(source: Converted, recipe: Recipe, *, tied_decoder: bool = True) -> bytes:
    """The converted file in the formats of a recipe; its codes are those of the network."""
    content = quantize.quantize(source.content, recipe, tied_decoder=tied_decoder)
    model = flatbuffer.read(content)
    if recipe.activations == "dynamic":
        pack.pack(model, source.network)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def weight_tensors(model: flatbuffer.Model) -> list[tuple[str, object]]:
    """Operator and stored table of every multiplication by weights and every table look-up, in all subgraphs.

    A table that is stored in half precision is widened by a DEQUANTIZE first.
    """
    found = []
    for subgraph in model.subgraphs:
        widened = {
            operator.outputs[0]: operator.inputs[0]
            for operator in subgraph.operators
            if flatbuffer.operator_name(model, operator) == "DEQUANTIZE"
        }
        for operator in subgraph.operators:
            name = flatbuffer.operator_name(model, operator)
            if name in ("FULLY_CONNECTED", "EMBEDDING_LOOKUP"):
                index = widened.get(operator.inputs[1], operator.inputs[1])
                tensor = subgraph.tensors[index]
                if flatbuffer.constant(model, tensor) is not None:
                    found.append((name, tensor))
    return found
