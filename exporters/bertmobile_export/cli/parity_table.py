"""A parity report as a table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bertmobile_export.cli.console import fidelity, megabytes, number

if TYPE_CHECKING:
    from bertmobile_export.export import Result
    from bertmobile_export.parity.agreement import Agreement

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
_HEADER = ("output", "mean cosine", "worst cosine", "max abs", "top-1", "top-5", "mean KL")


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


def parity_rows(report: dict[str, Any]) -> Table:
    """Header and rows: the outputs, through the engine and through those that were judged beside it."""
    rows = _output_rows(report["outputs"])
    for engine, numbers in report["also"].items():
        rows += _output_rows(numbers["outputs"], f" ({engine})")
    return _HEADER, rows


def agreement_rows(agreement: "Agreement") -> Table:
    """Header and rows: each output of each two targets."""
    rows = []
    for pair, numbers in agreement.numbers.items():
        rows += _output_rows(numbers["outputs"], f" ({' / '.join(pair)})")
    return _HEADER, rows


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
