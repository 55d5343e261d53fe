"""The formats that a budget chose, and what they are expected to cost."""

from collections import defaultdict
from typing import TYPE_CHECKING

from bertmobile_export.budget.bounds import kept_cosine
from bertmobile_export.cli.console import fidelity, megabytes

if TYPE_CHECKING:
    from bertmobile_export.budget.survey import Survey
    from bertmobile_export.cli.parity_table import Table
    from bertmobile_export.export import Result

_FORMATS = ("format (bits, block or palette)", "matrices", "weights", "1 - cosine, a part")
_SIZES = ("weights", "model file", "mean cosine")


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
    chosen = survey.chosen(result.plan.recipe)
    for name, rows, columns in matrices(result.plan):
        form = result.plan.recipe.form(name)
        groups[form.bits, form.label].append((rows * columns, chosen[name].loss))
    total = sum(weights for members in groups.values() for weights, _ in members)
    table: list[tuple[str, ...]] = []
    for (_, label), members in sorted(groups.items()):
        weights = sum(weights for weights, _ in members)
        loss = survey.scale * sum(loss for _, loss in members)
        table.append((label, str(len(members)), f"{weights / total:.0%}", f"{loss:.1e}"))
    if survey.activations:
        table.append(("activations", "", "", f"{survey.scale * survey.activations:.1e}"))
    return _FORMATS, table


def size_rows(result: "Result", survey: "Survey") -> "Table":
    """Header and rows: this file, as parity measured it, beside what is expected of usual ones."""
    points = {
        f"{name} (expected)": (point.bytes, survey.cosine(point.loss)) for name, point in survey.usual.items()
    }
    points["this file (measured)"] = result.bytes, kept_cosine(result.parity)
    table: list[tuple[str, ...]] = []
    for name, (size, cosine) in sorted(points.items(), key=lambda entry: -entry[1][0]):
        table.append((name, megabytes(size), fidelity(cosine)))
    return _SIZES, table
