"""Calibrated ranges hold what the linear layers met, and nothing of the padding."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bertmobile_export.network import Network
from bertmobile_export.network.ranges import SMALLEST, Range, linear_ranges
from tests.exporters.configs import make_config

Sample = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    config = make_config(num_hidden_layers=2, max_position_embeddings=32)
    return Network(config, "fill-mask").eval().requires_grad_(False)


def sample(tokens: int, length: int = 16, seed: int = 0, padding: int = 0) -> Sample:
    random = np.random.default_rng(seed)
    keep = np.arange(length) < tokens
    ids = np.where(keep, random.integers(1, 500, length), padding)
    values: dict[str, Any] = {
        "input_ids": ids,
        "attention_mask": keep,
        "token_type_ids": np.zeros(length),
        "mask_positions": np.array([1, 2, 0, 0, 0]),
    }
    return {name: row[None].astype(np.int64) for name, row in values.items()}


def observed(network: Network, samples: list[Sample]) -> dict[str, list[float]]:
    """Smallest and largest input and output of each linear layer, by replacing their forward."""
    found: dict[str, list[float]] = {}
    linears = {name: each for name, each in network.named_modules() if isinstance(each, nn.Linear)}
    for name, module in linears.items():
        bounds = found[name] = [0.0, 0.0, 0.0, 0.0]

        def forward(values: Tensor, module: nn.Linear = module, bounds: list[float] = bounds) -> Tensor:
            output = nn.functional.linear(values, module.weight, module.bias)
            for start, tensor in ((0, values), (2, output)):
                bounds[start] = min(bounds[start], float(tensor.min()))
                bounds[start + 1] = max(bounds[start + 1], float(tensor.max()))
            return output

        module.forward = forward  # type: ignore[method-assign,assignment]
    try:
        with torch.inference_mode():
            for each in samples:
                count = int(each["attention_mask"].sum())
                short = {n: v if n == "mask_positions" else v[:, :count] for n, v in each.items()}
                network(**{n: torch.from_numpy(v) for n, v in short.items()})
    finally:
        for module in linears.values():
            del module.forward
    return found


def test_every_linear_layer_has_the_range_of_what_it_met(network: Network) -> None:
    samples = [sample(tokens, seed=tokens) for tokens in (4, 9, 16)]
    expected = observed(network, samples)
    found = linear_ranges(network, samples)
    assert found.keys() == expected.keys() and "head.decoder" in found
    for name, (low, high, out_low, out_high) in expected.items():
        assert (found[name].input.low, found[name].input.high) == pytest.approx((low, high), abs=1e-6)
        assert (found[name].output.low, found[name].output.high) == pytest.approx(
            (out_low, out_high), abs=1e-6
        )


def test_padding_takes_no_part(network: Network) -> None:
    alone = linear_ranges(network, [sample(5, length=5)])
    assert linear_ranges(network, [sample(5, length=5)]) == alone
    wide = sample(5, length=5)
    for padding in (0, 123):
        padded = {
            name: values
            if name == "mask_positions"
            else np.pad(values, ((0, 0), (0, 11)), constant_values=padding if name == "input_ids" else 0)
            for name, values in wide.items()
        }
        assert linear_ranges(network, [padded]) == alone


def test_more_samples_never_narrow_a_range(network: Network) -> None:
    few = linear_ranges(network, [sample(8, seed=1)])
    more = linear_ranges(network, [sample(8, seed=1), sample(12, seed=2)])
    for name, ranges in few.items():
        for one, two in ((ranges.input, more[name].input), (ranges.output, more[name].output)):
            assert two.low <= one.low <= 0 <= one.high <= two.high
    assert more != few


def test_observing_leaves_the_network_alone(network: Network) -> None:
    linear_ranges(network, [sample(8)])
    assert not any(module._forward_hooks for module in network.modules())


def test_a_failing_sample_leaves_the_network_alone_too(network: Network) -> None:
    broken = {name: values for name, values in sample(8).items() if name != "mask_positions"}
    with pytest.raises(ValueError, match="mask_positions"):
        linear_ranges(network, [broken])
    assert not any(module._forward_hooks for module in network.modules())


@settings(deadline=None, max_examples=200)
@given(low=st.floats(-1e4, 0), high=st.floats(0, 1e4))
def test_zero_is_a_level_and_all_values_are_within_half_a_step(low: float, high: float) -> None:
    range_ = Range(low, high)
    assert isinstance(range_.zero_point, int) and 0 <= range_.zero_point <= 255
    assert range_.scale >= SMALLEST / 255
    for value in (low, 0.0, high, (low + high) / 2):
        level = min(max(round(value / range_.scale) + range_.zero_point, 0), 255)
        assert abs((level - range_.zero_point) * range_.scale - value) <= range_.scale * 1.0001
    assert (round(0 / range_.scale) + range_.zero_point - range_.zero_point) * range_.scale == 0


def test_a_range_that_never_moved_has_a_scale_that_half_precision_can_divide_by() -> None:
    still = Range(0.0, 0.0)
    assert np.float16(still.scale) > 0 and np.isfinite(np.float16(1) / np.float16(still.scale))
    assert replace(still, high=SMALLEST / 2).scale == still.scale
