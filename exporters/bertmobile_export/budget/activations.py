"""What quantized activations would lose, whatever the weights are."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.budget.sensitivity import distance, read
from bertmobile_export.network import Network
from bertmobile_export.network.encoder import PARTS
from bertmobile_export.network.equalisation import QuantizedActivations, to_levels
from bertmobile_export.network.ranges import Range, linear_ranges

Hook = Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]


def activation_loss(
    network: Network, samples: Sequence[Mapping[str, NDArray[np.int64]]], activations: QuantizedActivations
) -> float:
    """The squared error of what the head reads with exact weights, as a part of its square.

    Args:
        network: in float32, evened out for ``activations``.
        samples: its inputs, [1, length] int64 each.
        activations: how the inputs of the encoder's linear layers are quantized.
    """
    exact = read(network, samples)
    fixed = linear_ranges(network, samples) if activations.range == "static" else {}
    hooks = []
    for index, layer in enumerate(network.encoder.layers):
        for part in PARTS:
            ranges = fixed.get(f"encoder.layers.{index}.{part}")
            hook = _quantizing(activations, part, ranges.input if ranges else None)
            hooks.append(getattr(layer, part).register_forward_pre_hook(hook))
    try:
        return distance(read(network, samples), exact)
    finally:
        for hook in hooks:
            hook.remove()


def _quantizing(activations: QuantizedActivations, part: str, fixed: Range | None) -> Hook:
    """Rounds what a linear layer reads, as a target does. The few texts of a batch count as one run."""

    def hook(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (rows,) = arguments
        if fixed is not None:
            low, high = torch.tensor(fixed.low), torch.tensor(fixed.high)
        elif activations.range == "row" or part in activations.even_rows:
            low, high = rows.amin(dim=1), rows.amax(dim=1)
        else:
            low, high = rows.min(), rows.max()
        return (to_levels(rows, low, high),)

    return hook
