"""Tiny checkpoints as packages, and what the tests ask of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bertmobile.engines.mlprogram import Evaluator, read_package
from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.checkpoint.sentence_transformers import Normalize, SentenceEmbedding
from bertmobile_export.network import Network, build_network
from bertmobile_export.network.equalisation import equalise
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.recipes import Recipe, parse_recipe, read_recipe
from bertmobile_export.targets.coreml import TARGET
from tests.exporters.configs import make_plan

LENGTHS = (8, 24)
UNIT_MEAN = SentenceEmbedding(steps=(Normalize(),))
PROMPT = 3
MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
Inputs = dict[str, NDArray[np.int64]]


def recipe(embeddings: int, encoder: int, head: int, activations: str = "float", **more: Any) -> Recipe:
    """A recipe with a width for each group of weights."""
    groups = {"embeddings": embeddings, "encoder": encoder, "head": head}
    weights = {group: {"bits": bits, **more} for group, bits in groups.items()}
    return parse_recipe({"name": "own", "weights": weights, "activations": activations}, source="own")


def coreml_plan(
    task: str, recipe: str | Recipe, ios: int = 18, lengths: Sequence[int] = LENGTHS, **more: Any
) -> Plan:
    """A plan for this target, of the longest length alone where ``ios`` allows no more."""
    plan = make_plan(task, target="coreml", ios=ios, lengths=tuple(lengths), **more)
    chosen = read_recipe(recipe) if isinstance(recipe, str) else recipe
    return replace(plan, recipe=chosen, lengths=plan.lengths[-1:] if plan.single_length else plan.lengths)


def some_inputs(plan: Plan, length: int, tokens: int, seed: int = 0) -> Inputs:
    """``tokens`` random tokens of both types, padded to ``length``."""
    random = np.random.default_rng(seed)
    keep = np.arange(length) < tokens
    values = {
        "input_ids": random.integers(1, plan.config.vocab_size, length) * keep,
        "attention_mask": keep,
        "token_type_ids": (np.arange(length) >= tokens // 2) * keep,
    }
    if plan.pooling_mask:
        values["pooling_mask"] = keep & (np.arange(length) >= PROMPT)
    if plan.mask_slots:
        values["mask_positions"] = random.integers(0, tokens, plan.mask_slots)
    return {name: row[None].astype(np.int64) for name, row in values.items()}


@dataclass(frozen=True)
class Package:
    """A written package and the network that it was made from."""

    plan: Plan
    network: Network
    path: Path

    def specification(self) -> Any:
        """The model file as coremltools reads it."""
        import coremltools

        return coremltools.utils.load_spec(str(self.path))

    def operations(self) -> list[Any]:
        """The operations of the program, as they are stored."""
        functions = self.specification().mlProgram.functions
        assert list(functions) == ["main"]
        (block,) = functions["main"].block_specializations.values()
        return list(block.operations)

    def kinds(self) -> Counter[str]:
        return Counter(operation.type for operation in self.operations())

    def run(self, inputs: Inputs, *, rounding: bool = False) -> dict[str, NDArray[np.float32]]:
        evaluator = Evaluator(read_package(self.path), rounding=rounding)
        return evaluator.run({name: values.astype(np.int32) for name, values in inputs.items()})

    def expected(self, inputs: Inputs) -> dict[str, NDArray[np.float32]]:
        """The network's own outputs."""
        with torch.inference_mode():
            outputs = self.network(**{name: torch.from_numpy(values) for name, values in inputs.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())


def write_package(
    checkpoint: Path,
    path: Path,
    task: str,
    recipe: str | Recipe,
    ios: int = 18,
    lengths: Sequence[int] = LENGTHS,
    embedding: SentenceEmbedding = UNIT_MEAN,
    **plan: Any,
) -> Package:
    """Export a checkpoint to ``path``; recipes that calibrate do so on random tokens."""
    loaded = load_checkpoint(str(checkpoint), task=task)
    config = replace(loaded.config, embedding=embedding)
    made = coreml_plan(task, recipe, ios, lengths, config=config, **plan)
    TARGET.check(made)
    network = build_network(config, task, loaded.network_state, full_logits=made.full_logits)
    longest = max(made.lengths)
    samples = [some_inputs(made, longest, 4 + seed % (longest - 4), seed) for seed in range(8)]
    activations = TARGET.quantized_activations(made)
    if activations is not None:
        equalise(network, samples, activations)
    quantize_weights(network, made.recipe, samples, levels=TARGET.levels(made))
    TARGET.write(made, network, samples, path, loaded.tokenizer)
    return Package(made, network, path)
