"""Equalisation evens out what quantization loses most to, and changes no answer."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.network import Network
from bertmobile_export.network.encoder import SCALES
from bertmobile_export.network.equalisation import ActivationRange, QuantizedActivations, equalise
from bertmobile_export.quantization.grid import make_grid
from bertmobile_export.quantization.rounding import round_to_nearest
from bertmobile_export.recipes import WeightFormat
from tests.exporters.configs import make_config

LENGTH = 24
SLOTS = 2
TOLERANCE = 1e-5
# The linears whose output is divided by its channels' largest values.
OUTPUTS = ("attention_output", "output")
INPUTS = ("value", "intermediate", "output")
INPUT_SCALES = ("attention_input_scale", "intermediate_input_scale", "output_input_scale")
# One linear of each input that is searched.
SEARCHED = ("value", "attention_output", "intermediate", "output")
OUTPUT_SCALES = ("attention_output_scale", "output_scale")
RANGES: tuple[ActivationRange, ...] = ("row", "tensor", "static")
FOUR_BITS = WeightFormat(4, "block", 32)
NARROW = QuantizedActivations("row", narrow=FOUR_BITS)
STATIC = QuantizedActivations("static", outputs=True)
TASKS = (
    "fill-mask",
    "next-sentence",
    "text-classification",
    "token-classification",
    "question-answering",
    "feature-extraction",
)


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
            # Of the largest value: small ones are differences of large ones.
            atol = TOLERANCE * float(values.abs().max())
            torch.testing.assert_close(mine[name], values, rtol=0, atol=atol)


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


def scales(network: Network) -> set[str]:
    """Names of the scales that some layer has."""
    return {name for layer in network.encoder.layers for name in SCALES if getattr(layer, name) is not None}


def rounded(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """To 256 levels between ``low`` and ``high``, zero among them."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    step = (high - low) / 255
    zero = (-low / step).round()
    return (((values / step).round() + zero).clamp(0, 255) - zero) * step


@pytest.mark.parametrize("activations", [*map(QuantizedActivations, RANGES), NARROW], ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_an_equalised_network_gives_the_same_answers(task: str, activations: QuantizedActivations) -> None:
    network = make_network(0, task)
    masks = task == "fill-mask"
    seen, unseen = (make_samples(network.config, s, masks=masks) for s in (0, 100))
    expected = answers(network, seen + unseen)
    equalise(network, seen, activations)
    assert scales(network)
    assert_same(answers(network, seen + unseen), expected)


@pytest.mark.parametrize("hidden_act", ["relu", "gelu_new"])
def test_any_activation_gives_the_same_answers(hidden_act: str) -> None:
    network = make_network(0, hidden_act=hidden_act)
    samples = make_samples(network.config, 0, masks=True)
    expected = answers(network, samples)
    equalise(network, samples, STATIC)
    assert_same(answers(network, samples), expected)


@pytest.mark.parametrize(
    ("linears", "buffer"),
    [
        (("query", "key", "value"), "attention_input_scale"),
        (("intermediate",), "intermediate_input_scale"),
        (("output",), "output_input_scale"),
    ],
)
@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "feature-extraction"])
def test_each_input_scale_undoes_what_the_columns_took_in(
    task: str, linears: tuple[str, ...], buffer: str
) -> None:
    """Each alone, in every layer: the last one asks from selected rows."""
    network = make_network(1, task)
    samples = make_samples(network.config, 1, masks=task == "fill-mask")
    expected = answers(network, samples)
    torch.manual_seed(2)
    for layer in network.encoder.layers:
        scale = torch.exp(torch.randn(getattr(layer, linears[0]).in_features))
        for name in linears:
            getattr(layer, name).weight.mul_(scale)
        unscaled = answers(network, samples)
        setattr(layer, buffer, scale)
        assert_same(answers(network, samples), expected)
        with pytest.raises(AssertionError):
            assert_same(unscaled, expected)


@pytest.mark.parametrize("outputs", [False, True])
@pytest.mark.parametrize("activations", RANGES)
def test_output_scales_are_for_quantized_outputs_only(activations: ActivationRange, outputs: bool) -> None:
    network = make_network(0)
    samples = make_samples(network.config, 0, masks=True)
    equalise(network, samples, QuantizedActivations(activations, outputs=outputs))
    assert scales(network) & set(OUTPUT_SCALES) == (set(OUTPUT_SCALES) if outputs else set())
    assert scales(network) & set(INPUT_SCALES)


@pytest.mark.parametrize("activations", RANGES)
def test_a_linear_whose_rows_the_target_evens_out_gets_no_channel_scale(activations: ActivationRange) -> None:
    samples = make_samples(make_network(0).config, 0, masks=True)

    def scaled(even_rows: tuple[str, ...]) -> set[str]:
        network = make_network(0)
        equalise(network, samples, QuantizedActivations(activations, even_rows=even_rows))
        return scales(network)

    before = scaled(())
    for linear, buffer in zip(INPUTS, INPUT_SCALES, strict=True):
        assert buffer in before
        assert scaled((linear,)) == before - {buffer}


def test_the_context_takes_its_scale_from_the_values_without_an_operator() -> None:
    network, plain = make_network(0), make_network(0)
    samples = make_samples(network.config, 0, masks=True)
    for net in (network, plain):
        for layer in net.encoder.layers:
            layer.value.weight[6] *= 40
    before = channel_ranges(network, ("attention_output",), samples, side="input")
    equalise(network, samples, QuantizedActivations("tensor"))
    after = channel_ranges(network, ("attention_output",), samples, side="input")
    for uneven, even in zip(before, after, strict=True):
        assert even.max() / even.median() < uneven.max() / uneven.median() / 4
    for layer in network.encoder.layers:
        for name in SCALES:
            setattr(layer, name, None)

    def operators(net: Network) -> int:
        inputs = {name: torch.from_numpy(values) for name, values in samples[0].items()}
        return sum(node.op == "call_function" for node in torch.export.export(net, (), inputs).graph.nodes)

    assert operators(network) == operators(plain)


@pytest.mark.parametrize("activations", RANGES)
def test_even_channels_are_left_without_a_scale(activations: ActivationRange) -> None:
    """Nothing to gain, so nothing to pay for."""
    torch.manual_seed(0)
    network = Network(make_config(num_hidden_layers=1), "token-classification").eval().requires_grad_(False)
    embeddings, layer = network.encoder.embeddings, network.encoder.layers[0]
    embeddings.position.weight.zero_()
    embeddings.token_type.weight.zero_()
    # Inputs and columns of one size; as many of each sign, so that normalisation leaves them alone.
    for weight in (embeddings.word.weight, layer.value.weight):
        weight.copy_(torch.rand_like(weight).argsort(dim=1) % 2 * 2.0 - 1.0)
    key = layer.key.weight
    samples = make_samples(network.config, 0, masks=False, count=40)
    equalise(network, samples, QuantizedActivations(activations))
    assert layer.attention_input_scale is None
    assert layer.key.weight is key


def eight_bits(weight: Tensor) -> Tensor:
    step = weight.abs().amax(1, keepdim=True) / 127
    return (weight / step).round() * step


def four_bits(weight: Tensor) -> Tensor:
    grid = make_grid(weight, FOUR_BITS)
    return torch.from_numpy(round_to_nearest(weight, grid).values())


def quantized_error(
    network: Network,
    exact: Tensor,
    samples: list[dict[str, np.ndarray]],
    activations: str,
    weights: Callable[[Tensor], Tensor] = eight_bits,
) -> float:
    """Squared error of the states when the encoder's linears are quantized as the recipe will have them."""
    ranges: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def observe(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        low, high = ranges.get(module, (torch.zeros(()), torch.zeros(())))
        ranges[module] = (torch.minimum(low, arguments[0].min()), torch.maximum(high, arguments[0].max()))

    def quantize(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor]:
        values = arguments[0]
        if activations == "row":
            return (rounded(values, values.amin(1, keepdim=True), values.amax(1, keepdim=True)),)
        return (
            rounded(values, *(ranges[module] if activations == "static" else (values.min(), values.max()))),
        )

    network = copy.deepcopy(network)
    linears = [module for module in network.encoder.layers.modules() if isinstance(module, nn.Linear)]
    hooks = [linear.register_forward_hook(observe) for linear in linears]
    states(network, samples)
    for hook in hooks:
        hook.remove()
    for linear in linears:
        linear.weight.copy_(weights(linear.weight))
        linear.register_forward_pre_hook(quantize)
    return float((states(network, samples) - exact).square().sum())


def states(network: Network, samples: list[dict[str, np.ndarray]]) -> Tensor:
    """The last layer's rows of all texts, padding left out."""
    outputs = []
    for sample in samples:
        tokens = int(sample["attention_mask"].sum())
        outputs += answers(network, [{name: values[:, :tokens] for name, values in sample.items()}])
    return torch.cat([output["last_hidden_state"][0] for output in outputs])


def with_outliers(seed: int) -> Network:
    """A residual stream with a channel that is far larger than the others, as BERT's has."""
    network = make_network(seed, "feature-extraction")
    for layer in network.encoder.layers:
        for norm in (layer.attention_norm, layer.output_norm):
            norm.weight[5] *= 20
        layer.value.weight[:, 5] /= 20
        layer.intermediate.weight[:, 5] /= 20
    return network


def seen_and_unseen(network: Network, seed: int) -> list[list[dict[str, np.ndarray]]]:
    return [
        make_samples(network.config, s, masks=False, count=count)
        for s, count in ((seed, 60), (seed + 100, 12))
    ]


@pytest.mark.parametrize(
    "activations",
    ["tensor", pytest.param("row", marks=pytest.mark.slow), pytest.param("static", marks=pytest.mark.slow)],
)
def test_the_answers_to_unseen_texts_are_closer_to_the_exact_ones(activations: ActivationRange) -> None:
    """On average: errors of layers add up or cancel by chance, so that one network may end a little worse."""
    ratios = []
    for seed in range(3):
        network = with_outliers(seed)
        seen, unseen = seen_and_unseen(network, seed)
        exact = states(network, unseen)
        before = quantized_error(network, exact, unseen, activations)
        equalise(network, seen, QuantizedActivations(activations))
        ratios.append(quantized_error(network, exact, unseen, activations) / before)
    assert np.exp(np.mean(np.log(ratios))) < 0.3
    assert max(ratios) < 1.5


def test_narrow_weights_lose_less_where_their_search_knows_how_narrow_they_are() -> None:
    """On average, as above, on texts that it has not seen."""
    known, eight = [], []
    for seed in range(3):
        network = with_outliers(seed)
        seen, unseen = seen_and_unseen(network, seed)
        exact = states(network, unseen)
        before = quantized_error(network, exact, unseen, "row", four_bits)
        for activations, ratios in ((NARROW, known), (QuantizedActivations("row"), eight)):
            equalised = copy.deepcopy(network)
            equalise(equalised, seen, activations)
            ratios.append(quantized_error(equalised, exact, unseen, "row", four_bits) / before)
    assert np.exp(np.mean(np.log(known))) < 0.95
    assert np.exp(np.mean(np.log(known))) < np.exp(np.mean(np.log(eight)))


@pytest.mark.parametrize("hidden", [12, 72])
def test_narrow_weights_may_end_within_a_block(hidden: int) -> None:
    network = make_network(0, hidden_size=hidden, intermediate_size=2 * hidden)
    samples = make_samples(network.config, 0, masks=True)
    expected = answers(network, samples)
    equalise(network, samples, NARROW)
    assert scales(network)
    assert_same(answers(network, samples), expected)


def with_fixed_exponent(
    network: Network, samples: list[dict[str, np.ndarray]], exponent: float = 0.8
) -> Network:
    """SmoothQuant's scales for every input, without a search."""
    network = copy.deepcopy(network)
    largest = iter(channel_ranges(network, SEARCHED, samples, side="input"))
    buffers = dict(zip(INPUTS, INPUT_SCALES, strict=True))
    for layer in network.encoder.layers:
        for name in SEARCHED:
            columns = getattr(layer, name).weight.abs().amax(dim=0)
            scale = next(largest) ** exponent / columns ** (1 - exponent)
            for linear in ("value", "key", "query") if name == "value" else (name,):
                getattr(layer, linear).weight.mul_(scale)
            if name in buffers:
                setattr(layer, buffers[name], scale)
            else:  # what attention returns is scaled where it comes from
                layer.value.weight.div_(scale.unsqueeze(1))
                layer.value.bias.div_(scale)
    return network


def errors_by_linear(
    network: Network,
    plain: Network,
    seen: list[dict[str, np.ndarray]],
    unseen: list[dict[str, np.ndarray]],
    activations: ActivationRange,
) -> list[float]:
    """What each linear's own quantization costs on unseen texts, its input being exact: squared errors of
    its output in the units that ``plain`` has it in."""
    runs: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}

    def observe(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        runs.setdefault(module, []).append((arguments[0], output))

    pairs = [
        (getattr(layer, name), getattr(exact, name))
        for layer, exact in zip(network.encoder.layers, plain.encoder.layers, strict=True)
        for name in SEARCHED
    ]
    hooks = [linear.register_forward_hook(observe) for linear, _ in pairs]
    states(network, seen + unseen)
    for hook in hooks:
        hook.remove()
    errors = []
    for linear, original in pairs:
        calibrated = torch.cat([inputs for inputs, _ in runs[linear][: len(seen)]])
        weight = eight_bits(linear.weight)
        total = 0.0
        for inputs, output in runs[linear][len(seen) :]:
            axes = {"dim": 1, "keepdim": True} if activations == "row" else {}
            values = calibrated if activations == "static" else inputs
            found = rounded(inputs, values.amin(**axes), values.amax(**axes)) @ weight.T + linear.bias
            # The rows of a linear may have taken in the scale of what follows; so has its bias.
            total += float(((found - output) * original.bias / linear.bias).square().sum())
        errors.append(total)
    return errors


@pytest.mark.slow
@pytest.mark.parametrize("activations", RANGES)
def test_the_search_beats_no_scales_and_a_fixed_exponent_on_unseen_texts(
    activations: ActivationRange,
) -> None:
    """By what it searches for, the error that each linear adds, and in every network."""
    by_linear = []
    for seed in range(3):
        plain = with_outliers(seed)
        seen, unseen = seen_and_unseen(plain, seed)
        searched = copy.deepcopy(plain)
        equalise(searched, seen, QuantizedActivations(activations))
        fixed = with_fixed_exponent(plain, seen)
        assert_same(answers(fixed, unseen), answers(plain, unseen))
        without, mine, theirs = (
            np.array(errors_by_linear(network, plain, seen, unseen, activations))
            for network in (plain, searched, fixed)
        )
        assert mine.sum() < without.sum() / 4
        assert mine.sum() < 0.9 * theirs.sum()
        by_linear.append(mine / theirs)
    assert np.exp(np.mean(np.log(by_linear))) < 0.8


def test_it_refuses_to_search_without_a_sample() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        equalise(make_network(0), [], QuantizedActivations("row"))


@pytest.mark.parametrize("seed", range(3))
def test_all_output_channels_have_the_same_range_afterwards(seed: int) -> None:
    network = make_network(seed)
    samples = make_samples(network.config, seed, masks=True)
    before = channel_ranges(network, OUTPUTS, samples, side="output")
    assert all(ranges.max() > 10 * ranges.median() for ranges in before)
    equalise(network, samples, STATIC)
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
    equalise(network, samples, STATIC)
    assert all(after < earlier for after, earlier in zip(unevenness(network), before, strict=True))


def test_padding_decides_no_range() -> None:
    samples = make_samples(make_network(0).config, 0, masks=True)
    # What lies behind the mask differs; nothing else does.
    other = [
        {**sample, "input_ids": np.where(sample["attention_mask"] == 1, sample["input_ids"], 9)}
        for sample in samples
    ]
    found = []
    for chosen in (samples, other):
        network = make_network(0)
        equalise(network, chosen, STATIC)
        found.append(dict(network.named_buffers()))
    assert {name.rsplit(".", 1)[-1] for name in found[0]} >= {*OUTPUT_SCALES, "attention_input_scale"}
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


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
    equalise(network, samples, STATIC)
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
    equalise(network, samples, STATIC)
    assert_same(answers(network, samples), expected)


def test_the_source_of_the_weights_is_left_alone() -> None:
    source = make_network(0)
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    network = Network(source.config, source.task).eval()
    network.load_state_dict(source.state_dict(), assign=True)
    equalise(network, make_samples(source.config, 0, masks=True), STATIC)
    assert all(torch.equal(tensor, state[name]) for name, tensor in source.state_dict().items())
