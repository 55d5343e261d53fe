"""Results as tables on a terminal."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console

from bertmobile_export.cli.console import megabytes, print_table


def show(document: dict[str, Any]) -> None:
    """Print a document after the schema ``results``."""
    console = Console()
    device = document["device"]
    print_table(
        console,
        ("bundle", "model file", "all files", "compressed", "verdict"),
        [
            (
                each["name"],
                *(megabytes(each[key]) for key in ("model_bytes", "bytes", "compressed_bytes")),
                each["verdict"],
            )
            for each in document["bundles"]
        ],
        title=_device(device),
    )
    for (bundle, threads), results in _groups(document["results"]).items():
        console.print()
        first = results[0]
        print_table(
            console,
            ("tokens", "p90", "p50", "a second", "runs", "trusted"),
            [_row(result) for result in results],
            title=f"{bundle}, {first['engine']} {first['engine_version'] or ''}, threads: {threads}"
            + "".join(f"; {each}" for each in _about(results)),
        )
    for result in document["results"]:
        for line in (result["golden"] or {"failed": []})["failed"]:
            console.print(f"wrong answer of {result['bundle']}: {line}", soft_wrap=True, markup=False)
    for line in dict.fromkeys(f"{doubt}" for result in document["results"] for doubt in result["doubts"]):
        console.print(f"not trusted: {line}", soft_wrap=True, highlight=False, markup=False)
    if document["comparisons"]:
        console.print()
        print_table(
            console,
            ("bundle", "threads", "tokens", "ratio", "95 % interval"),
            [_compared(each) for each in document["comparisons"]],
            title=f"Compared with {document['comparisons'][0]['versus']}",
        )


def _device(device: dict[str, Any]) -> str:
    emulated = ", emulated" if device["emulated"] else ""
    name = f"{device['serial']} ({device['name']}): " if device["serial"] else ""
    processor = device["cpu"] or device["machine"]
    return f"{name}{processor}, {device['cores']} cores, {device['os']} {device['os_version']}{emulated}"


def _about(results: list[dict[str, Any]]) -> Iterator[str]:
    """What no workload is alone with: of several values the largest, and only what is known."""

    def largest(name: str) -> Any:
        return max((result[name] for result in results if result[name] is not None), default=None)

    if (size := largest("engine_bytes")) is not None:
        yield f"library {megabytes(size)}"
    if (seconds := largest("load_seconds")) is not None:
        yield f"load {seconds:.2f} s"
    if (seconds := largest("cold_start_seconds")) is not None:
        yield f"first answer {seconds:.2f} s after the process was started"
    if (peak := largest("peak_bytes")) is not None:
        yield f"peak {megabytes(peak)}"


def _groups(results: list[dict[str, Any]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["bundle"], result["threads"]), []).append(result)
    return groups


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    latency = result["latency"]
    return (
        result["workload"],
        _milliseconds(latency["p90"]),
        _milliseconds(latency["p50"]),
        f"{result['per_second']:.1f}",
        str(len(latency["seconds"])),
        "no" if result["doubts"] else "yes",
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.2f} ms"


def _compared(comparison: dict[str, Any]) -> tuple[str, ...]:
    interval = comparison["interval"]
    spelt = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "-"
    key = ("bundle", "threads", "workload")
    return *(str(comparison[each]) for each in key), f"{comparison['ratio']:.3f} x", spelt
