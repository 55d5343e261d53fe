"""Equalisation evens out what quantization loses most to, and changes no answer."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.network import Network
from bertmobile_export.network.equalisation import equalise
from tests.exporters.configs import make_config

LENGTH = 24
SLOTS = 2
TOLERANCE = 1e-4
# The linears whose output is divided by its channels' largest values.
OUTPUTS = ("attention_output", "output")
INPUTS = ("intermediate", "output")


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread() -> Iterator[None]:
    """The networks are so small that a second thread only waits for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_network(seed: int, task: str = "fill-mask", **config: Any) -> Network:
    """Weights with a spread that real ones have, and a few channels fifty times as large as the others."""
    torch.manual_seed(seed)
    network = Network(make_config(**config), task).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("norm.weight"):
            parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
        elif name.endswith("bias"):
            parameter.copy_(0.2 * torch.randn_like(parameter))
        elif "embeddings" not in name:
            parameter.copy_(0.7 * parameter.shape[-1] ** -0.5 * torch.randn_like(parameter))
    for layer in network.encoder.layers:
        for name in OUTPUTS:
            getattr(layer, name).weight[3] *= 50
            getattr(layer, name).bias[7] += 20
    return network


def make_samples(
    config: ModelConfig, seed: int, *, masks: bool, count: int = 6
) -> list[dict[str, np.ndarray]]:
    """Padded random texts."""
    random = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        tokens = int(random.integers(4, LENGTH + 1))
        keep = np.arange(LENGTH) < tokens
        sample = {
            "input_ids": (random.integers(1, config.vocab_size, LENGTH) * keep)[None],
            "attention_mask": keep.astype(np.int64)[None],
            "token_type_ids": ((np.arange(LENGTH) >= tokens // 2) * keep).astype(np.int64)[None],
        }
        if masks:
            sample["mask_positions"] = random.integers(0, tokens, SLOTS)[None]
        samples.append(sample)
    return samples


def answers(network: Network, samples: list[dict[str, np.ndarray]]) -> list[dict[str, Tensor]]:
    with torch.inference_mode():
        return [network(**{k: torch.from_numpy(v) for k, v in sample.items()}) for sample in samples]


def assert_same(found: list[dict[str, Tensor]], expected: list[dict[str, Tensor]]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        for name, values in theirs.items():
            torch.testing.assert_close(mine[name], values, rtol=TOLERANCE, atol=TOLERANCE)


def channel_ranges(
    network: Network, names: tuple[str, ...], samples: list[dict[str, np.ndarray]], *, side: str
) -> list[Tensor]:
    """The largest absolute value of each channel of the linears' inputs or outputs, padding left out."""
    seen: dict[nn.Module, Tensor] = {}

    def observe(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        values = (output if side == "output" else arguments[0]).abs().amax(dim=0)
        seen[module] = torch.maximum(seen[module], values) if module in seen else values

    linears = [getattr(layer, name) for layer in network.encoder.layers for name in names]
    hooks = [linear.register_forward_hook(observe) for linear in linears]
    for sample in samples:
        tokens = int(sample["attention_mask"].sum())
        answers(network, [{k: v if k == "mask_positions" else v[:, :tokens] for k, v in sample.items()}])
    for hook in hooks:
        hook.remove()
    return [seen[linear] for linear in linears]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "feature-extraction"])
def test_an_equalised_network_gives_the_same_answers(task: str, seed: int) -> None:
    network = make_network(seed, task)
    masks = task == "fill-mask"
    seen, unseen = (make_samples(network.config, s, masks=masks) for s in (seed, seed + 100))
    expected = answers(network, seen + unseen)
    equalise(network, seen)
    assert_same(answers(network, seen + unseen), expected)


@pytest.mark.parametrize("hidden_act", ["relu", "gelu_new"])
def test_any_activation_gives_the_same_answers(hidden_act: str) -> None:
    network = make_network(0, hidden_act=hidden_act)
    samples = make_samples(network.config, 0, masks=True)
    expected = answers(network, samples)
    equalise(network, samples)
    assert_same(answers(network, samples), expected)


@pytest.mark.parametrize("seed", range(3))
def test_all_output_channels_have_the_same_range_afterwards(seed: int) -> None:
    network = make_network(seed)
    samples = make_samples(network.config, seed, masks=True)
    before = channel_ranges(network, OUTPUTS, samples, side="output")
    assert all(ranges.max() > 10 * ranges.median() for ranges in before)
    equalise(network, samples)
    for ranges in channel_ranges(network, OUTPUTS, samples, side="output"):
        torch.testing.assert_close(ranges, torch.ones_like(ranges), rtol=1e-3, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_input_channels_are_more_even_afterwards(seed: int) -> None:
    def unevenness(network: Network) -> list[float]:
        found = channel_ranges(network, INPUTS, samples, side="input")
        return [float(ranges.max() / ranges.median()) for ranges in found]

    network = make_network(seed)
    samples = make_samples(network.config, seed, masks=True)
    before = unevenness(network)
    equalise(network, samples)
    assert all(after < earlier for after, earlier in zip(unevenness(network), before, strict=True))


def test_padding_decides_no_range() -> None:
    samples = make_samples(make_network(0).config, 0, masks=True)
    # What lies behind the mask differs; nothing else does.
    other = [
        {**sample, "input_ids": np.where(sample["attention_mask"] == 1, sample["input_ids"], 9)}
        for sample in samples
    ]
    scales = []
    for chosen in (samples, other):
        network = make_network(0)
        equalise(network, chosen)
        scales.append([buffer for _, buffer in sorted(network.named_buffers())])
    assert len(scales[0]) == 4 * len(network.encoder.layers)
    for first, second in zip(*scales, strict=True):
        assert torch.equal(first, second)


def test_channels_that_never_move_survive() -> None:
    network = make_network(0, hidden_act="relu")
    for layer in network.encoder.layers:
        for name in OUTPUTS:
            getattr(layer, name).weight[5] = 0
            getattr(layer, name).bias[5] = 0
        # Below zero whatever comes in: a dead input of the next linear.
        layer.intermediate.weight[2] = 0
        layer.intermediate.bias[2] = -1
        # A column that nothing reads.
        layer.output.weight[:, 4] = 0
    samples = make_samples(network.config, 0, masks=True)
    expected = answers(network, samples)
    equalise(network, samples)
    found = answers(network, samples)
    assert all(torch.isfinite(values).all() for outputs in found for values in outputs.values())
    assert_same(found, expected)
    for ranges in channel_ranges(network, OUTPUTS, samples, side="output"):
        assert ranges[5] == 0


def test_a_layer_whose_output_is_all_zero_survives() -> None:
    network = make_network(0)
    for name in OUTPUTS:
        linear = getattr(network.encoder.layers[0], name)
        linear.weight.zero_()
        linear.bias.zero_()
    samples = make_samples(network.config, 0, masks=True)
    expected = answers(network, samples)
    equalise(network, samples)
    assert_same(answers(network, samples), expected)


def test_the_source_of_the_weights_is_left_alone() -> None:
    source = make_network(0)
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    network = Network(source.config, source.task).eval()
    network.load_state_dict(source.state_dict(), assign=True)
    equalise(network, make_samples(source.config, 0, masks=True))
    assert all(torch.equal(tensor, state[name]) for name, tensor in source.state_dict().items())
