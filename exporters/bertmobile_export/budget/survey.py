"""What sizes a network can have for a target, and what each is expected to lose."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.budget.activations import activation_loss
from bertmobile_export.budget.fit import narrowed
from bertmobile_export.budget.sensitivity import Choice, Choices, Progress, distance, measure, read
from bertmobile_export.budget.solve import Frontier, loss, size
from bertmobile_export.network import Network
from bertmobile_export.plan import Plan
from bertmobile_export.quantization.weights import matrices
from bertmobile_export.recipes import Recipe, WeightFormat
from bertmobile_export.targets import Target

# What is usually written: every matrix alike, each scale from the largest weight, each weight to its nearest.
USUAL = {
    "8 bits, nearest": WeightFormat(8),
    "4 bits in blocks of 32, nearest": WeightFormat(4, "block", 32),
}


@dataclass(frozen=True)
class Point:
    """A size of the model file in bytes, and what weights lose there (see :class:`~.sensitivity.Choice`)."""

    bytes: int
    loss: float


@dataclass(frozen=True)
class Survey:
    """What the formats of a budget are chosen from.

    Losses are squared errors of what the head reads, on calibration texts: they add up, and so can be solved
    for. What a user is promised is another quantity, the mean cosine of the outputs on the parity texts, the
    lowest of all outputs. It is known of the written file, and in proportion to the losses of all others.

    Attributes:
        choices: for each matrix.
        least: bytes of the model file with every matrix in its smallest format, as predicted.
        usual: by name, what rounding to nearest would give at the same bytes for a weight everywhere.
        activations: the loss of quantized activations.
        scale: 1 - cosine for a loss. Of two vectors one of which is off at random, until a file is measured.
    """

    choices: Choices
    least: int
    usual: Mapping[str, Point]
    activations: float = 0.0
    scale: float = 0.5

    @cached_property
    def frontier(self) -> Frontier:
        """The assignments that lose least for their bytes."""
        return Frontier(self.choices)

    def path(self) -> Iterator[Point]:
        """The solver's best, from the smallest file to the one that loses least."""
        for assignment in self.frontier.path():
            yield Point(self.least + size(assignment, self.choices), loss(assignment))

    def chosen(self, recipe: Recipe) -> dict[str, Choice]:
        """What a recipe chose for each matrix."""
        return {
            name: next(choice for choice in offered if choice.form == recipe.form(name))
            for name, offered in self.choices.items()
        }

    def whole(self, recipe: Recipe) -> float:
        """What weights in the formats that a recipe chose, and activations, lose together."""
        return loss(self.chosen(recipe)) + self.activations

    def cosine(self, loss: float) -> float:
        """Of the outputs, as expected where weights lose so much."""
        return 1 - self.scale * (loss + self.activations)

    def measured(self, recipe: Recipe, cosine: float) -> "Survey":
        """The survey in proportion to what the written file of a recipe kept."""
        whole = self.whole(recipe)
        return replace(self, scale=(1 - cosine) / whole) if whole else self


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
        name: Point(_bytes_of(plan, target, form), distance(_with_nearest(network, form, samples), exact))
        for name, form in USUAL.items()
    }
    activations = target.quantized_activations(narrowed(plan, target))
    return Survey(
        choices,
        target.predict_bytes(narrowed(plan, target)),
        usual,
        activation_loss(network, samples, activations) if activations else 0.0,
    )


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
