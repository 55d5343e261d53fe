"""Formats for matrices under a limit of bytes: a knapsack with several choices for each thing."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from bertmobile_export.budget.sensitivity import Choice, Choices

Assignment = Mapping[str, Choice]


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


def path(choices: Choices) -> Iterator[dict[str, Choice]]:
    """Assignments from the smallest to the one that loses least, each with one matrix wider than before.

    Each step is the one that wins most for each byte. Of a matrix's formats only those on the lower convex
    hull of loss over bytes take part, so that a step never waits for one that follows it (the greedy solution
    of the linear relaxation; Kellerer, Pferschy and Pisinger, Knapsack Problems, 2004, chapter 11).
    """
    assignment = smallest(choices)
    yield dict(assignment)
    for name, choice in _steps(choices):
        assignment[name] = choice
        yield dict(assignment)


def best_within(choices: Choices, extra: int) -> dict[str, Choice]:
    """The path's steps in order as long as they fit into ``extra`` bytes; one that does not is left out."""
    assignment = smallest(choices)
    left = extra
    full: set[str] = set()
    for name, choice in _steps(choices):
        cost = choice.bytes - assignment[name].bytes
        if name in full or cost > left:
            full.add(name)  # later steps of the same matrix build on this one
            continue
        assignment[name] = choice
        left -= cost
    return assignment


def _steps(choices: Choices) -> list[tuple[str, Choice]]:
    """Matrix and wider format, most won for each byte first."""
    steps = []
    for name, offered in choices.items():
        hull = _hull(offered)
        for narrow, wide in pairwise(hull):
            rate = (narrow.loss - wide.loss) / (wide.bytes - narrow.bytes)
            steps.append((rate, name, wide))
    steps.sort(key=lambda step: (-step[0], step[1], step[2].bytes))
    return [(name, wide) for _, name, wide in steps]


def _hull(offered: Sequence[Choice]) -> list[Choice]:
    """The lower convex hull of loss over bytes, from the smallest choice on."""
    hull: list[Choice] = []
    for choice in sorted(offered, key=lambda choice: (choice.bytes, choice.loss)):
        if hull and choice.loss >= hull[-1].loss:
            continue
        while len(hull) > 1 and _above(hull[-2], hull[-1], choice):
            hull.pop()
        hull.append(choice)
    return hull


def _above(left: Choice, middle: Choice, right: Choice) -> bool:
    """Whether ``middle`` lies on or above the line from ``left`` to ``right``."""
    return (middle.loss - left.loss) * (right.bytes - left.bytes) >= (right.loss - left.loss) * (
        middle.bytes - left.bytes
    )
