"""What a budget promises of the written file, in the numbers of its parity report."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bertmobile_export.recipes import Budget, Recipe


def kept_cosine(report: Mapping[str, Any]) -> float:
    """The mean cosine that every output keeps, through every engine: what ``cosine_mean`` is judged by."""
    cosines = [output["cosine_mean"] for each in _engines(report) for output in each["outputs"].values()]
    return float(min(cosines))


def _engines(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """``outputs`` and ``labels`` of the engine, and of those that were judged beside it."""
    yield report
    yield from report["also"].values()


class Bound(ABC):
    """A bound that only a written file is known to keep.

    Attributes:
        exponent: what is measured grows with this power of what the weights lose.
        option: of the command.
        looser: how it asks for less.
    """

    exponent: float
    option: str
    looser: str

    @abstractmethod
    def __str__(self) -> str:
        """What is to be kept, for messages."""

    @abstractmethod
    def first(self) -> float:
        """A loss of the sensitivities that may keep it, as a guess."""

    @abstractmethod
    def measured(self, report: Mapping[str, Any]) -> float:
        """What a file lost."""

    @abstractmethod
    def most(self, report: Mapping[str, Any]) -> float:
        """What it may lose, in the same unit."""


@dataclass(frozen=True)
class CosineBound(Bound):
    """The mean cosine of every output: 1 - cosine is half the squared error, for errors of any direction."""

    cosine: float
    exponent = 1.0
    option, looser = "--min-parity", "a smaller --min-parity"

    def __str__(self) -> str:
        return f"a mean cosine of {self.cosine:g}"

    def first(self) -> float:
        return 2 * (1 - self.cosine)

    def measured(self, report: Mapping[str, Any]) -> float:
        return 1 - kept_cosine(report)

    def most(self, report: Mapping[str, Any]) -> float:
        return 1 - self.cosine


@dataclass(frozen=True)
class FlipBound(Bound):
    """Decisions that change: those whose margin is less than an error, which is the root of the loss.

    They are counted, with half of one more: no file is so exact that a decision could not change.
    """

    share: float
    exponent = 0.5
    option, looser = "--max-flips", "a larger --max-flips"

    def __str__(self) -> str:
        return f"all but {self.share:.3g} of the decisions"

    def first(self) -> float:
        # Beyond it the thresholds of recipes below 8 bits break first, whatever share may change.
        return min(max(10 * self.share, 0.01), 0.2) ** 2

    def measured(self, report: Mapping[str, Any]) -> float:
        return float(max(numbers["labels"]["flips"] for numbers in _engines(report))) + 0.5

    def most(self, report: Mapping[str, Any]) -> float:
        return math.floor(self.share * int(report["labels"]["decided"])) + 0.5


def bound_of(recipe: Recipe) -> Bound | None:
    """What a recipe's budget wants of the written file; None where it limits the bytes, or there is none."""
    budget = recipe.budget or Budget()
    if budget.min_cosine is not None:
        return CosineBound(budget.min_cosine)
    return None if budget.max_flips is None else FlipBound(budget.max_flips)
