"""What sizes a network can have for a target, and what each is expected to lose."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.budget.fit import narrowed
from bertmobile_export.budget.sensitivity import Choices, Progress, distance, measure, read
from bertmobile_export.budget.solve import Frontier, loss, size
from bertmobile_export.network import Network
from bertmobile_export.plan import Plan
from bertmobile_export.quantization.weights import matrices
from bertmobile_export.recipes import WeightFormat
from bertmobile_export.targets import Target

# What is usually written: every matrix alike, each scale from the largest weight, each weight to its nearest.
USUAL = {
    "8 bits, nearest": WeightFormat(8),
    "4 bits in blocks of 32, nearest": WeightFormat(4, "block", 32),
}


@dataclass(frozen=True)
class Point:
    """A size of the model file in bytes, and the expected cosine of what the head reads there."""

    bytes: int
    cosine: float


@dataclass(frozen=True)
class Survey:
    """What the formats of a budget are chosen from.

    Attributes:
        choices: for each matrix.
        least: bytes of the model file with every matrix in its smallest format, as predicted.
        usual: by name, what rounding to nearest would give at the same bytes for a weight everywhere.
    """

    choices: Choices
    least: int
    usual: Mapping[str, Point]

    def path(self) -> Iterator[Point]:
        """The solver's best, from the smallest file to the one that loses least."""
        for assignment in Frontier(self.choices).path():
            yield Point(self.least + size(assignment, self.choices), cosine_of(loss(assignment)))


def survey(
    plan: Plan,
    target: Target,
    network: Network,
    samples: Sequence[Mapping[str, NDArray[np.int64]]],
    progress: Progress = lambda done, total: None,
) -> Survey:
    """Measure on calibration texts; see :func:`~.sensitivity.measure`.

    Raises:
        CheckpointError: a matrix holds numbers that are not finite.
    """
    choices = measure(plan, target, network, samples, progress)
    exact = read(network, samples)
    usual = {
        name: Point(
            _bytes_of(plan, target, form),
            cosine_of(distance(_with_nearest(network, form, samples), exact)),
        )
        for name, form in USUAL.items()
    }
    return Survey(choices, target.predict_bytes(narrowed(plan, target)), usual)


def cosine_of(loss: float) -> float:
    """The cosine between vectors one of which is off by ``loss``, a part of the square of its length."""
    return 1 - loss / 2


def _bytes_of(plan: Plan, target: Target, form: WeightFormat) -> int:
    recipe = replace(plan.recipe, modules=dict.fromkeys(plan.recipe.modules, form))
    recipe = replace(recipe, weights=dict.fromkeys(recipe.weights, form))
    return target.predict_bytes(replace(plan, recipe=recipe))


def _with_nearest(
    network: Network, form: WeightFormat, samples: Sequence[Mapping[str, NDArray[np.int64]]]
) -> Tensor:
    """What the head reads with every matrix rounded to nearest."""
    before = [(module, module.weight) for _, module in matrices(network)]
    try:
        for module, weight in before:
            module.weight = nn.Parameter(_nearest(weight, form), requires_grad=False)
        return read(network, samples)
    finally:
        for module, weight in before:
            module.weight = weight


def _nearest(weight: Tensor, form: WeightFormat) -> Tensor:
    width = form.block_size or weight.shape[1]
    padded = nn.functional.pad(weight, (0, -weight.shape[1] % width))
    blocks = padded.reshape(len(weight), -1, width)
    largest = blocks.abs().amax(dim=2, keepdim=True)
    scales = torch.where(largest > 0, largest, 1.0) / (2 ** (form.bits - 1) - 1)
    rounded = (blocks / scales).round_() * scales
    changed: Tensor = rounded.reshape(padded.shape)[:, : weight.shape[1]].contiguous()
    return changed
