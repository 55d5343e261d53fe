"""Ranges of activations, for recipes that fix them when the model is made."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.network.equalisation import without_padding
from bertmobile_export.network.network import Network

LEVELS = 255
# A tensor that never moves still needs a scale that can be divided by, in half precision too.
SMALLEST = 1e-2


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value seen, and 0."""

    low: float
    high: float

    @property
    def scale(self) -> float:
        """What one of 256 levels stands for."""
        return max(self.high - self.low, SMALLEST) / LEVELS

    @property
    def zero_point(self) -> int:
        """The level of 0, from 0 to 255."""
        return round(-self.low / self.scale)


@dataclass(frozen=True)
class LinearRanges:
    """What a linear layer reads and what it returns."""

    input: Range
    output: Range


Ranges = Mapping[str, LinearRanges]


def linear_ranges(network: Network, samples: Iterable[Mapping[str, NDArray[np.int64]]]) -> Ranges:
    """Run ``samples`` without their padding and see what each linear layer reads and returns.

    Args:
        network: in float32.
        samples: its inputs, [1, length] each.

    Returns:
        Ranges by module name.
    """
    seen: dict[tuple[str, str], tuple[float, float]] = {}

    def observe(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            for side, values in (("input", arguments[0]), ("output", output)):
                low, high = seen.get((name, side), (0.0, 0.0))
                seen[name, side] = (min(low, float(values.min())), max(high, float(values.max())))

        return hook

    linears = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    hooks = [module.register_forward_hook(observe(name)) for name, module in linears.items()]
    try:
        with torch.inference_mode():
            for sample in samples:
                network(**without_padding(sample))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: LinearRanges(Range(*seen[name, "input"]), Range(*seen[name, "output"])) for name in linears}
