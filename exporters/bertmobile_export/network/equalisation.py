"""Exact rewritings of the network that make its activations easier to quantize."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.network.encoder import Layer
from bertmobile_export.network.network import Network

# How much of an input's unevenness moves into the weights: at 1 the activations are even and the weights
# bear it all. With 0.8 MiniLM keeps the thresholds of int8-static; it was not searched for.
EXPONENT = 0.8


@dataclass(frozen=True)
class _Site:
    """A linear of a layer, and the layer's buffers for the scales of its two sides."""

    linear: str
    input_scale: str | None = None
    output_scale: str | None = None


_SITES = (
    _Site("attention_output", output_scale="attention_output_scale"),
    _Site("intermediate", input_scale="intermediate_input_scale"),
    _Site("output", input_scale="output_input_scale", output_scale="output_scale"),
)


def equalise(network: Network, samples: Iterable[Mapping[str, NDArray[np.int64]]]) -> None:
    """Even out the channels of the activations that lose most to a range per tensor, in place.

    A few channels of BERT's residual stream are fed values fifty times as large as all others. An input is
    divided by a scale for each channel, and the weights' columns are multiplied by it (SmoothQuant, Xiao et
    al., 2022, https://arxiv.org/abs/2211.10438); an output's rows are divided by the channel's largest value,
    which is multiplied back in floating point where the residual is added. The network computes the same.

    Args:
        network: the linears concerned get weights of their own.
        samples: the network's inputs, [1, length] int64 each.
    """
    inputs: dict[nn.Module, Tensor] = {}
    outputs: dict[nn.Module, Tensor] = {}

    def observe(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        for seen, values in ((inputs, arguments[0]), (outputs, output)):
            channels = values.abs().amax(dim=0)
            seen[module] = torch.maximum(seen[module], channels) if module in seen else channels

    linears = [getattr(layer, site.linear) for layer in network.encoder.layers for site in _SITES]
    hooks = [linear.register_forward_hook(observe) for linear in linears]
    try:
        with torch.inference_mode():
            for sample in samples:
                network(**_without_padding(sample))
    finally:
        for hook in hooks:
            hook.remove()
    for layer in network.encoder.layers:
        assert isinstance(layer, Layer)
        for site in _SITES:
            linear = getattr(layer, site.linear)
            _rewrite(layer, site, linear, inputs[linear], outputs[linear])


def _rewrite(layer: Layer, site: _Site, linear: nn.Linear, inputs: Tensor, outputs: Tensor) -> None:
    weight: Tensor = linear.weight
    bias: Tensor = linear.bias
    if site.input_scale:
        columns = weight.abs().amax(dim=0)
        scale = _positive(inputs) ** EXPONENT / _positive(columns) ** (1 - EXPONENT)
        weight = weight * scale
        setattr(layer, site.input_scale, scale)
    if site.output_scale:
        scale = _positive(outputs)
        weight, bias = weight / scale.unsqueeze(1), bias / scale
        setattr(layer, site.output_scale, scale)
    linear.weight = nn.Parameter(weight, requires_grad=False)
    linear.bias = nn.Parameter(bias, requires_grad=False)


def _positive(largest: Tensor) -> Tensor:
    """A channel that never moves counts as one of the usual size."""
    moving = largest[largest > 0]
    usual = moving.median() if len(moving) else torch.ones(())
    return torch.where(largest > 0, largest, usual)


def _without_padding(sample: Mapping[str, NDArray[np.int64]]) -> dict[str, Tensor]:
    tokens = int(sample["attention_mask"].sum())
    return {
        name: torch.from_numpy(values if name == "mask_positions" else values[:, :tokens])
        for name, values in sample.items()
    }
