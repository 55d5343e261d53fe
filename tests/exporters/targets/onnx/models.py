"""Tiny checkpoints as ONNX files, and what the tests ask of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from bertmobile_export.checkpoint import Checkpoint
from bertmobile_export.checkpoint.sentence_transformers import SentenceEmbedding
from bertmobile_export.network import Network, build_network
from bertmobile_export.network.encoder import SCALES
from bertmobile_export.network.equalisation import QuantizedActivations, equalise
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.recipes import Recipe, parse_recipe, read_recipe
from bertmobile_export.targets.onnx import TARGET
from bertmobile_export.targets.onnx.write import write, write_ort
from tests.exporters.configs import make_plan

LONGEST = 24
PROMPT = 3
MEAN = SentenceEmbedding()
Inputs = dict[str, NDArray[np.int64]]
Arrays = dict[str, NDArray[Any]]


def recipe(embeddings: int, encoder: int, head: int, activations: str = "float", **more: Any) -> Recipe:
    """A recipe with a width for each group of weights."""
    groups = {"embeddings": embeddings, "encoder": encoder, "head": head}
    weights = {group: {"bits": bits, **more} for group, bits in groups.items()}
    return parse_recipe({"name": "own", "weights": weights, "activations": activations}, source="own")


def onnx_plan(
    task: str, recipe: str | Recipe = "float32", *, lengths: Sequence[int] = (LONGEST,), **more: Any
) -> Plan:
    """A plan for this target."""
    plan = make_plan(task, target="onnx", lengths=tuple(lengths), **more)
    return replace(plan, recipe=read_recipe(recipe) if isinstance(recipe, str) else recipe)


def some_inputs(plan: Plan, tokens: Sequence[int], length: int | None = None, seed: int = 0) -> Inputs:
    """Texts of so many random tokens of all types, padded to ``length`` or to the longest."""
    random = np.random.default_rng(seed)
    counts = np.array(tokens)[:, None]
    columns = np.arange(length or max(tokens))
    keep = columns < counts
    shape = keep.shape
    inputs = {
        "input_ids": random.integers(1, plan.config.vocab_size, shape) * keep,
        "attention_mask": keep,
        "token_type_ids": random.integers(0, plan.config.type_vocab_size, shape) * keep,
    }
    if plan.pooling_mask:
        inputs["pooling_mask"] = keep & (columns >= PROMPT)
    if plan.mask_slots:
        inputs["mask_positions"] = random.integers(0, counts, (len(tokens), plan.mask_slots))
    return {name: values.astype(np.int64) for name, values in inputs.items()}


def uneven(network: Network) -> None:
    """Give every layer scales at every place, as equalisation might, without making the weights match."""
    for index, layer in enumerate(network.encoder.layers):
        random = torch.Generator().manual_seed(index)
        for name in SCALES:
            size = network.config.intermediate_size if name == "output_input_scale" else None
            factors = torch.rand(size or network.config.hidden_size, generator=random) + 0.5
            setattr(layer, name, factors)


@dataclass(frozen=True)
class Written:
    """A file and the network that it was made from."""

    plan: Plan
    network: Network
    path: Path

    @property
    def model(self) -> onnx.ModelProto:
        return onnx.load(self.path)

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size

    def kinds(self) -> Counter[str]:
        """How often each operator occurs."""
        return Counter(node.op_type for node in self.model.graph.node)

    def weights(self) -> Arrays:
        return {each.name: onnx.numpy_helper.to_array(each) for each in self.model.graph.initializer}

    def session(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: Inputs) -> Arrays:
        session = self.session()
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def expected(self, inputs: Inputs) -> Arrays:
        """The network's own outputs."""
        with torch.inference_mode():
            outputs = self.network(**{name: torch.from_numpy(values) for name, values in inputs.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def assert_equal(self, inputs: Inputs, within: float = 1e-5) -> None:
        actual, expected = self.run(inputs), self.expected(inputs)
        assert list(actual) == list(expected)
        for name, values in expected.items():
            assert actual[name].dtype == np.float32
            assert actual[name].shape == values.shape
            np.testing.assert_allclose(actual[name], values, rtol=0, atol=within, err_msg=name)

    def cosines(self, inputs: Inputs) -> list[float]:
        """Between the file's and the network's rows of each output, over tokens that are no padding."""
        keep = inputs["attention_mask"].astype(bool)
        found: list[float] = []
        actual, expected = self.run(inputs), self.expected(inputs)
        for name, values in expected.items():
            pair = [actual[name], values]
            if values.shape[:2] == keep.shape and values.ndim == 3:
                pair = [each[keep] for each in pair]
            one, two = (each.reshape(-1, each.shape[-1]).astype(np.float64) for each in pair)
            assert np.isfinite(one).all()
            found += list((one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1))
        return found


def write_model(
    checkpoint: Checkpoint,
    path: Path,
    recipe: str | Recipe = "float32",
    *,
    equalised: QuantizedActivations | bool = False,
    scaled: bool = False,
    every_layer: bool = False,
    embedding: SentenceEmbedding = MEAN,
    **plan: Any,
) -> Written:
    """Write a checkpoint to ``path``; what needs samples gets random tokens.

    Args:
        checkpoint: the source.
        path: file to write.
        recipe: a name or a recipe.
        equalised: whether to equalise first, for the activations given or for those of the recipe.
        scaled: see :func:`uneven`.
        every_layer: also the outputs for diagnosis.
        embedding: of feature-extraction; its steps have no weights.
        plan: more fields of the plan.
    """
    config = replace(checkpoint.config, embedding=embedding)
    made = onnx_plan(checkpoint.task, recipe, config=config, **plan)
    TARGET.check(made)
    network = build_network(config, made.task, checkpoint.network_state, full_logits=made.full_logits)
    network.every_layer = every_layer
    longest = max(made.lengths)
    samples = [some_inputs(made, [4 + seed % (longest - 4)], longest, seed) for seed in range(12)]
    activations = TARGET.quantized_activations(made) if equalised is True else equalised
    if activations:
        equalise(network, samples, activations)
    if scaled:
        uneven(network)
    quantize_weights(network, made.recipe, samples, levels=TARGET.levels(made))
    (write_ort if made.ort else write)(made, network, samples, path)
    return Written(made, network, path)
