"""A parity report as a table."""

from typing import Any

from bertmobile_export.cli.console import fidelity, number

_HEADER = ("output", "mean cosine", "worst cosine", "max abs", "top-1", "top-5", "mean KL")


def parity_title(report: dict[str, Any]) -> str:
    """One line: the verdict, and what it rests on."""
    texts, engine = report["texts"], report["engine"]
    limits = ", ".join(f"{key} {bound:g}" for key, bound in report["thresholds"].items())
    untrained = "" if report["trained"] else "; never trained: cosines only"
    return (
        f"Parity {report['verdict']}: {texts['count']} {texts['source']} texts, "
        f"{engine['name']} {engine['version']} against float32 PyTorch ({limits}{untrained})"
    )


def parity_rows(report: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows."""
    return _HEADER, [
        (
            name,
            fidelity(numbers["cosine_mean"]),
            fidelity(numbers["cosine_min"]),
            number(numbers["max_abs"]),
            fidelity(numbers["top1"]),
            fidelity(numbers["top5"]),
            number(numbers["kl_mean"]),
        )
        for name, numbers in report["outputs"].items()
    ]
