"""A parity report as a table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bertmobile_export.cli.console import fidelity, megabytes, number, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from bertmobile_export.export import Result
    from bertmobile_export.parity.agreement import Agreement

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
_OUTPUTS = ("output", "mean cosine", "worst cosine", "max abs", "top-1", "top-5", "mean KL")
_LABELS = ("decisions", "flipped", "tiny margin, flipped", "max probability", "mean probability", "mean KL")
_VALUES = ("values", "spread", "max / spread", "mean / spread")


def parity_title(report: dict[str, Any]) -> str:
    """One line: the verdict, and what it rests on."""
    texts, engine = report["texts"], report["engine"]
    limits = ", ".join(f"{key} {bound:g}" for key, bound in report["thresholds"].items())
    also = "".join(f", and {name}" for name in report["also"])
    untrained = "" if report["trained"] else "; never trained: cosines only"
    return (
        f"Parity {report['verdict']}: {texts['count']} {texts['source']} texts, "
        f"{engine['name']} {engine['version']}{also} against float32 PyTorch ({limits}{untrained})"
        + (f"; {report['note']}" if "note" in report else "")
    )


def print_parity(console: "Console", report: dict[str, Any]) -> None:
    """The outputs and what they decide, through the engine and through those that were judged beside it."""
    numbers = {"": report} | {f" ({engine})": found for engine, found in report["also"].items()}
    _print_numbers(console, numbers, parity_title(report))


def print_agreement(console: "Console", agreement: "Agreement") -> None:
    """The same of each two targets."""
    numbers = {f" ({' / '.join(pair)})": found for pair, found in agreement.numbers.items()}
    _print_numbers(console, numbers, "The targets compared with each other")


def _print_numbers(console: "Console", numbers: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """A table of the outputs, and one of decisions or values where there are some.

    Args:
        console: where to.
        numbers: ``outputs``, ``labels`` and ``values`` of the parity report's schema, by what is written
            behind each name.
        title: of the first table.
    """
    outputs = [row for suffix, found in numbers.items() for row in _output_rows(found["outputs"], suffix)]
    print_table(console, _OUTPUTS, outputs, title=title)
    for header, kind, row_of in ((_LABELS, "labels", _label_row), (_VALUES, "values", _value_row)):
        rows = [(kind + suffix, *row_of(found[kind])) for suffix, found in numbers.items() if found[kind]]
        if rows:
            console.print()
            print_table(console, header, rows)


def comparison_rows(results: "Sequence[Result]", milliseconds: Mapping[str, float | None]) -> Table:
    """Header and rows: what each bundle weighs, keeps and costs."""
    timed = bool(milliseconds)
    rows = []
    for result in results:
        worst = [output["cosine_min"] for output in result.parity["outputs"].values()]
        row = [
            result.plan.target if timed else result.plan.recipe.name,
            megabytes(result.source_bytes),
            megabytes(result.bytes),
            f"{result.bytes / result.source_bytes:.0%}",
            f"{result.seconds:.1f}",
        ]
        if timed:
            value = milliseconds[result.plan.target]
            row += ["-" if value is None else f"{value:.1f}", fidelity(min(worst)), result.parity["verdict"]]
        rows.append(tuple(row))
    header = ("target" if timed else "recipe", "float32", "now", "share", "seconds")
    return (*header, "ms a text", "worst cosine", "parity") if timed else header, rows


def _label_row(labels: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{labels['flips']} of {labels['decided']}",
        f"{labels['tiny_flips']} of {labels['tiny_margin']}",
        *(number(labels[key]) for key in ("probability_max", "probability_mean", "kl_mean")),
    )


def _value_row(values: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(number(values[key]) for key in ("spread", "value_max", "value_mean"))


def _output_rows(outputs: Mapping[str, Any], suffix: str = "") -> list[tuple[str, ...]]:
    return [
        (
            name + suffix,
            fidelity(numbers["cosine_mean"]),
            fidelity(numbers["cosine_min"]),
            number(numbers["max_abs"]),
            fidelity(numbers["top1"]),
            fidelity(numbers["top5"]),
            number(numbers["kl_mean"]),
        )
        for name, numbers in outputs.items()
    ]
