"""Formats for matrices under a limit: a knapsack with several choices for each thing."""

from collections.abc import Iterator, Mapping

import numpy as np

from bertmobile_export.budget.sensitivity import Choice, Choices

Assignment = Mapping[str, Choice]
# Into how many parts bytes are divided, from the smallest assignment to the one that loses least.
UNITS = 50_000
STEPS = 24


def smallest(choices: Choices) -> dict[str, Choice]:
    """Every matrix in its smallest format."""
    return {
        name: min(offered, key=lambda choice: (choice.bytes, choice.loss))
        for name, offered in choices.items()
    }


def size(assignment: Assignment, choices: Choices) -> int:
    """Bytes above those of :func:`smallest`."""
    least = smallest(choices)
    return sum(choice.bytes - least[name].bytes for name, choice in assignment.items())


def loss(assignment: Assignment) -> float:
    """Of all matrices together."""
    return sum(choice.loss for choice in assignment.values())


class Frontier:
    """The assignments that lose least for their bytes.

    Found by dynamic programming over bytes (Dudzinski and Walukiewicz, 1987,
    https://doi.org/10.1016/0377-2217(87)90165-2), each format's rounded up to one of ``UNITS``
    parts of the whole range: limits are kept, and what is left of one is less than a part for each matrix.

    Args:
        choices: for each matrix.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        finest = {name: min(offered, key=lambda choice: choice.loss) for name, offered in choices.items()}
        self._unit = max(-(-size(finest, choices) // UNITS), 1)
        least = smallest(choices)
        self._costs = {
            name: [-(-(choice.bytes - least[name].bytes) // self._unit) for choice in offered]
            for name, offered in choices.items()
        }
        width = sum(self._costs[name][choices[name].index(choice)] for name, choice in finest.items()) + 1
        self._losses = np.zeros(width)
        self._chosen = {}
        for name, offered in choices.items():
            rows = np.full((len(offered), width), np.inf)
            for row, cost, choice in zip(rows, self._costs[name], offered, strict=True):
                if cost < width:
                    row[cost:] = self._losses[: width - cost] + choice.loss
            self._chosen[name] = rows.argmin(axis=0)
            self._losses = rows.min(axis=0)

    def within(self, extra: int) -> dict[str, Choice]:
        """The assignment that loses least with at most ``extra`` bytes, 0 or more, above the smallest."""
        return self._at(min(extra // self._unit, len(self._losses) - 1))

    def losing(self, most: float) -> dict[str, Choice]:
        """The smallest assignment that loses no more than ``most``, or than the least that any loses."""
        (fitting,) = np.nonzero(self._losses <= max(most, self._losses[-1]))
        return self._at(int(fitting[0]))

    def path(self) -> Iterator[dict[str, Choice]]:
        """From the smallest assignment to the one that loses least, in ``STEPS`` of equally many bytes."""
        for place in np.linspace(0, len(self._losses) - 1, STEPS):
            yield self._at(int(place))

    def _at(self, place: int) -> dict[str, Choice]:
        assignment = {}
        for name in reversed(self._chosen):
            index = int(self._chosen[name][place])
            assignment[name] = self.choices[name][index]
            place -= self._costs[name][index]
        return {name: assignment[name] for name in self.choices}
