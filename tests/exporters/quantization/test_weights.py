"""Codes are chosen layer by layer, so that what the network computes stays near what it did."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bertmobile.errors import CheckpointError
from bertmobile_export.budget.sensitivity import measure
from bertmobile_export.network import Network
from bertmobile_export.network.encoder import LINEARS_BY_INPUT, Layer
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.quantization.states import embed, inputs_of, run_layer
from bertmobile_export.recipes import Recipe, WeightFormat, read_recipe
from bertmobile_export.targets import get_target
from tests.exporters.configs import make_plan

Texts = list[dict[str, NDArray[np.int64]]]
PLAN = make_plan("feature-extraction", target="onnx", lengths=(24,))
NARROW = WeightFormat(4, "block", 16)


def texts(plan: Plan, count: int, seed: int) -> Texts:
    """Random words that come in a few kinds of sentences, so that inputs move together."""
    random = np.random.default_rng(seed)
    kinds = np.random.default_rng(0).integers(1, plan.config.vocab_size, (8, 20))
    found = []
    for kind in random.integers(0, len(kinds), count):
        ids = kinds[kind].copy()
        ids[random.integers(0, 20, 6)] = random.integers(1, plan.config.vocab_size, 6)
        found.append({"input_ids": ids[None], "attention_mask": np.ones_like(ids[None])})
        found[-1]["token_type_ids"] = np.zeros_like(ids[None])
    return found


def some_network() -> Network:
    torch.manual_seed(0)
    return Network(PLAN.config, PLAN.task).eval().requires_grad_(False)


def recipe(form: WeightFormat, rounding: str) -> Recipe:
    own = replace(read_recipe("int4"), modules={}, rounding=rounding)  # type: ignore[arg-type]
    return replace(own, weights={"embeddings": WeightFormat(32), "encoder": form, "head": form})


def states_after(network: Network, samples: Texts) -> torch.Tensor:
    batches = embed(network, samples)
    for layer in network.encoder.layers:
        assert isinstance(layer, Layer)
        batches, _ = run_layer(layer, batches)
    return torch.cat([batch.rows for batch in batches])


def quantized(own: Recipe, samples: Texts) -> tuple[Network, Network]:
    network = some_network()
    exact = copy.deepcopy(network)
    quantize_weights(network, own, samples)
    return exact, network


def lost(own: Recipe, samples: Texts, unseen: Texts) -> float:
    exact, network = quantized(own, samples)
    wanted = states_after(exact, unseen)
    return float((states_after(network, unseen) - wanted).square().sum() / wanted.square().sum())


@pytest.mark.parametrize("form", [NARROW, WeightFormat(4, "scaled-palette")], ids=lambda form: form.label)
def test_compensated_rounding_loses_less_on_texts_it_has_not_seen(form: WeightFormat) -> None:
    samples, unseen = texts(PLAN, 150, seed=1), texts(PLAN, 40, seed=2)
    assert lost(recipe(form, "compensated"), samples, unseen) < 0.7 * lost(
        recipe(form, "nearest"), samples, unseen
    )


def test_biases_keep_the_mean_of_what_each_linear_layer_returns() -> None:
    samples = texts(PLAN, 100, seed=1)
    exact, network = quantized(recipe(NARROW, "compensated"), samples)
    before, now = embed(exact, samples), embed(network, samples)
    for wanted_layer, layer in zip(exact.encoder.layers, network.encoder.layers, strict=True):
        assert isinstance(wanted_layer, Layer) and isinstance(layer, Layer)
        for linears in LINEARS_BY_INPUT:
            wanted_inputs = torch.cat(list(inputs_of(wanted_layer, linears[0], before)))
            inputs = torch.cat(list(inputs_of(layer, linears[0], now)))
            for part in linears:
                wanted = getattr(wanted_layer, part)(wanted_inputs).mean(0)
                torch.testing.assert_close(getattr(layer, part)(inputs).mean(0), wanted, atol=1e-4, rtol=1e-4)
        before, _ = run_layer(wanted_layer, before)
        now, _ = run_layer(layer, now)


def test_the_weights_are_what_the_codes_stand_for() -> None:
    _, network = quantized(recipe(NARROW, "compensated"), texts(PLAN, 20, seed=1))
    modules = dict(network.named_modules())
    assert len(network.codes) == 6 * PLAN.config.num_hidden_layers
    for name, matrix in network.codes.items():
        np.testing.assert_array_equal(modules[name].weight.numpy(), matrix.values())  # type: ignore[union-attr,operator]


@pytest.mark.parametrize("target", ["onnx", "tflite", "coreml"])
def test_what_formats_are_expected_to_lose_together_is_near_what_they_lose(target: str) -> None:
    plan = make_plan("feature-extraction", target=target, lengths=(24,))
    own = replace(read_recipe("mixed"), budget=None)
    plan, samples = replace(plan, recipe=own), texts(plan, 150, seed=1)
    network = some_network()
    choices = measure(plan, get_target(target), network, samples)
    for pick in (-3, -2):
        chosen = {name: offered[pick] for name, offered in choices.items()}
        modules = {name: choice.form for name, choice in chosen.items()}
        changed = copy.deepcopy(network)
        quantize_weights(changed, replace(own, modules=modules), samples)
        expected = sum(choice.loss for choice in chosen.values())
        wanted, found = (vectors(each, samples) for each in (network, changed))
        measured = float((found - wanted).square().sum() / wanted.square().sum())
        assert expected / 4 < measured < 4 * expected


def vectors(network: Network, samples: Sequence[dict[str, NDArray[np.int64]]]) -> torch.Tensor:
    rows = []
    for sample in samples:
        inputs = {name: torch.from_numpy(values) for name, values in sample.items()}
        rows.append(network(**inputs)["sentence_embedding"])
    return torch.cat(rows)


@pytest.mark.parametrize("effort", ["standard", "high"])
def test_weights_that_are_not_finite_are_refused_by_name(effort: Literal["standard", "high"]) -> None:
    network = some_network()
    network.encoder.layers[1].intermediate.weight[3, 2] = torch.nan  # type: ignore[union-attr,index]
    with pytest.raises(CheckpointError, match=r"encoder\.layers\.1\.intermediate"):
        own = replace(recipe(NARROW, "compensated"), effort=effort)
        quantize_weights(network, own, texts(PLAN, 20, seed=1))
