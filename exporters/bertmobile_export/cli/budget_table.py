"""The formats that a budget chose, and what they are expected to cost."""

from collections import defaultdict
from typing import TYPE_CHECKING

from bertmobile_export.cli.console import fidelity, megabytes

if TYPE_CHECKING:
    from bertmobile_export.budget.sensitivity import Choice
    from bertmobile_export.budget.survey import Survey
    from bertmobile_export.cli.parity_table import Table
    from bertmobile_export.export import Result

_FORMATS = ("format (bits, block or palette)", "matrices", "weights", "expected loss")
_SIZES = ("weights", "model file", "expected cosine")


def formats_title(result: "Result") -> str:
    """One line: what the formats are for, and what an app carries with the model file."""
    from bertmobile_export.bundle import stored_bytes

    whole = stored_bytes(result.bundle)
    return (
        f"{result.plan.bundle_name}: {megabytes(result.bytes)} ({megabytes(whole)} with the whole bundle), "
        "in these formats"
    )


def format_rows(result: "Result", survey: "Survey") -> "Table":
    """Header and rows: each format with the matrices that have it."""
    from bertmobile_export.sizes import matrices

    groups: dict[tuple[int, str], list[tuple[int, float]]] = defaultdict(list)
    chosen = _chosen(result, survey)
    for name, rows, columns in matrices(result.plan):
        form = result.plan.recipe.form(name)
        groups[form.bits, form.label].append((rows * columns, chosen[name].loss))
    total = sum(weights for members in groups.values() for weights, _ in members)
    table: list[tuple[str, ...]] = []
    for (_, label), members in sorted(groups.items()):
        weights = sum(weights for weights, _ in members)
        loss = sum(loss for _, loss in members)
        table.append((label, str(len(members)), f"{weights / total:.0%}", f"{loss:.1e}"))
    return _FORMATS, table


def size_rows(result: "Result", survey: "Survey") -> "Table":
    """Header and rows: this file beside others of the same network, on calibration texts.

    Weights alone: what quantized activations cost is in the parity table.
    """
    from bertmobile_export.budget.survey import cosine_of

    loss = sum(choice.loss for choice in _chosen(result, survey).values())
    points = {name: (point.bytes, point.cosine) for name, point in survey.usual.items()}
    points["this file"] = result.bytes, cosine_of(loss)
    table: list[tuple[str, ...]] = []
    for name, (size, cosine) in sorted(points.items(), key=lambda entry: -entry[1][0]):
        table.append((name, megabytes(size), fidelity(cosine)))
    return _SIZES, table


def _chosen(result: "Result", survey: "Survey") -> "dict[str, Choice]":
    return {
        name: next(choice for choice in offered if choice.form == result.plan.recipe.form(name))
        for name, offered in survey.choices.items()
    }
