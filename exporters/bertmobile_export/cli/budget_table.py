"""The formats that a budget chose, and what they are expected to cost."""

from collections import defaultdict
from typing import TYPE_CHECKING

from bertmobile_export.cli.console import megabytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bertmobile_export.budget.sensitivity import Choice
    from bertmobile_export.cli.parity_table import Table
    from bertmobile_export.export import Result

_HEADER = ("format (bits, block or palette)", "matrices", "weights", "expected loss")


def budget_title(result: "Result") -> str:
    """One line: what the plan is expected to cost beside the widest formats."""
    widest = _cosine(min(offered, key=lambda choice: choice.loss) for offered in result.choices.values())
    chosen = _cosine(_chosen(result).values())
    return (
        f"{result.plan.bundle_name}: {megabytes(result.bytes)}; expected cosine of what the head reads "
        f"{chosen:.4f}, {widest:.4f} with every matrix in its finest format (8 bits)"
    )


def budget_rows(result: "Result") -> "Table":
    """Header and rows: each format with the matrices that have it."""
    from bertmobile_export.sizes import matrices

    groups: dict[tuple[int, str], list[tuple[int, float]]] = defaultdict(list)
    chosen = _chosen(result)
    for name, rows, columns in matrices(result.plan):
        form = result.plan.recipe.form(name)
        groups[form.bits, form.label].append((rows * columns, chosen[name].loss))
    total = sum(weights for members in groups.values() for weights, _ in members)
    rows_: list[tuple[str, ...]] = []
    for (_, label), members in sorted(groups.items()):
        weights = sum(weights for weights, _ in members)
        loss = sum(loss for _, loss in members)
        rows_.append((label, str(len(members)), f"{weights / total:.0%}", f"{loss:.1e}"))
    return _HEADER, rows_


def _chosen(result: "Result") -> "dict[str, Choice]":
    return {
        name: next(choice for choice in offered if choice.form == result.plan.recipe.form(name))
        for name, offered in result.choices.items()
    }


def _cosine(choices: "Iterable[Choice]") -> float:
    """Of vectors that differ by a part of their length, the square of which is the loss."""
    return 1 - sum(choice.loss for choice in choices) / 2
