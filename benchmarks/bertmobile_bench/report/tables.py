"""Measurements as tables of text, which the page and the Markdown share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bertmobile_bench.report.merge import Case, Comparison, Device, Merged, cores_of, threads_of
from bertmobile_export.cli.console import fidelity, megabytes

UNKNOWN = "not known"
# A number that has no meaning here, as opposed to one that nobody knows.
NONE = "–"
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        caption: what it shows.
        header: names of the columns; the first column names the row.
        rows: of the same length as the header.
        groups: a heading for each row, the same for neighbours that belong together; empty without groups.
        grouped: how many columns, from the first on, say no more than the heading.
        words: names of columns that hold words; the others hold numbers.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[str, ...] = ()
    grouped: int = 0
    words: frozenset[str] = frozenset()

    @property
    def blocks(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """Each group with its rows, without the columns that its heading stands for."""
        found: list[tuple[str, list[tuple[str, ...]]]] = []
        for row, heading in zip(self.rows, self.groups or [""] * len(self.rows), strict=True):
            if not found or found[-1][0] != heading:
                found.append((heading, []))
            found[-1][1].append(row[self.grouped :])
        return found

    def only(self, *columns: str) -> "Table":
        """The same with fewer columns, and without groups."""
        places = [self.header.index(name) for name in columns]
        rows = tuple(tuple(row[place] for place in places) for row in self.rows)
        return replace(self, header=columns, rows=rows, groups=(), grouped=0)


def about(merged: Merged) -> str:
    """When it was measured, and with which version."""
    first, last = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (merged.first, merged.last))
    when = first if first == last else f"{first} to {last}"
    return f"Measured {when} with bertmobile {', '.join(merged.tools)}."


def device_table(merged: Merged) -> Table:
    """A row for each device."""
    rows = [_device(device) for device in merged.devices]
    return Table(
        "Devices. Readings that change are those from before to after the measurements.",
        tuple(rows[0]),
        tuple(tuple(row.values()) for row in rows),
        words=frozenset(rows[0]),
    )


def turned(table: Table) -> Table:
    """A table without groups, with a column for each of its rows."""
    first, *others = zip(table.header, *table.rows, strict=True)
    return replace(table, header=first, rows=tuple(others), words=frozenset(first))


def bundle_table(merged: Merged) -> Table:
    """A row for each bundle; source models are none."""
    rows = [
        (
            bundle.label,
            *(bundle.facts[key] for key in ("target", "task", "recipe")),
            *(megabytes(bundle.facts[key]) for key in ("model_bytes", "bytes", "compressed_bytes")),
            bundle.facts["verdict"],
            UNKNOWN if bundle.facts["cosine"] is None else fidelity(bundle.facts["cosine"]),
        )
        for bundle in merged.bundles
        if bundle.facts
    ]
    return Table(
        "Bundles. The cosine is the mean with float32 PyTorch, from the parity check.",
        ("bundle", "target", "task", "recipe", "model file", "all files", "compressed", "parity", "cosine"),
        tuple(rows),
        words=frozenset({"bundle", "target", "task", "recipe", "parity"}),
    )


def result_table(device: Device, cases: Sequence[Case]) -> Table:
    """A row for each case of one device, grouped by bundle and what ran it."""
    caption = f"Results on {device.label}. p90: nine of ten runs took no longer."
    if any(case.summary_only for case in cases):
        caption += " Where a runner keeps no single latencies, the mean stands in its place."
    header = (
        "bundle", "engine", "threads", "tokens", "p90", "p50", "p99", "a second", "runs", "load",
        "first answer", "peak memory", "golden answers", "trusted",
    )  # fmt: skip
    return Table(
        caption,
        header,
        tuple(_case(case) for case in cases),
        groups=tuple(_heading(case) for case in cases),
        grouped=3,
        words=frozenset({"bundle", "engine", "tokens", "golden answers", "trusted"}),
    )


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """A row for each ratio, grouped by device."""
    rows = [
        (
            each.device.label,
            each.bundle.label,
            each.versus.label,
            each.setting,
            _workload(each.facts["workload"]),
            f"{each.facts['ratio']:.3f} ×",
            "{:.3f} to {:.3f}".format(*each.facts["interval"]) if each.facts["interval"] else NONE,
        )
        for each in comparisons
    ]
    return Table(
        "Comparisons: how many times the time of the other a bundle takes; below 1 it is faster.",
        ("device", "bundle", "compared with", "ran by", "tokens", "ratio", "95 % interval"),
        tuple(rows),
        groups=tuple(each.device.label for each in comparisons),
        grouped=1,
        words=frozenset({"device", "bundle", "compared with", "ran by", "tokens"}),
    )


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds, with as many digits as are worth reading."""
    if seconds is None:
        return NONE
    value = 1e3 * seconds
    return f"{value:,.{0 if value >= 100 else 2 if value >= 1 else 3}f} ms"


def headline(case: Case) -> str:
    """The p90, or the mean with a mark where that is all there is."""
    return milliseconds(case.headline) + (" (mean)" if case.summary_only else "")


def _device(device: Device) -> dict[str, str]:
    facts = device.facts
    return {
        "device": device.label,
        "emulated": "yes: its times are no real device's" if device.emulated else "no",
        "system": f"{facts['os']} {facts['os_version']}",
        "instruction set": facts["machine"],
        "cpu": facts["cpu"] or UNKNOWN,
        "cores": _known(facts["cores"]),
        "memory": f"{facts['memory_bytes'] / 1e9:.1f} GB",
        "governor": _words(device, "governor"),
        "frequency": _span(device, "frequency_khz", lambda value: f"{value / 1e3:,.0f} MHz"),
        "load average": _span(device, "load_average", "{:.1f}".format),
        "temperature": _span(device, "temperature_celsius", "{:.1f} °C".format),
        "thermal status": _span(device, "thermal_status", _thermal),
        "battery": _span(device, "battery_percent", "{:.0f} %".format),
        "screen on": _words(device, "screen_on"),
        "fixed performance": _known(facts["fixed_performance"]),
    }


def _known(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return UNKNOWN if value is None else str(value)


def _thermal(value: int) -> str:
    return _THERMAL[value] if 0 <= value < len(_THERMAL) else str(value)


def _words(device: Device, reading: str) -> str:
    """All that a reading was, in the order in which it came up."""
    states = (_known(value) for value in device.readings[reading] if value is not None)
    return ", ".join(dict.fromkeys(states)) or UNKNOWN


def _span(device: Device, reading: str, spell: Callable[[Any], str]) -> str:
    """The first reading and the last, and the extremes where others lie outside."""
    readings = device.readings[reading]
    values = [value for value in readings if value is not None]
    if not values:
        return UNKNOWN
    ends = [UNKNOWN if value is None else spell(value) for value in (readings[0], readings[-1])]
    low, high = spell(min(values)), spell(max(values))
    return " → ".join(ends) + ("" if {low, high} <= set(ends) else f" (from {low} to {high})")


def _engine(case: Case) -> str:
    result = case.result
    return f"{result['engine']} {result['engine_version'] or f'version {UNKNOWN}'} ({result['runner']})"


def _heading(case: Case) -> str:
    library = case.result["engine_bytes"]
    size = UNKNOWN if library is None else megabytes(library)
    return f"{case.bundle.label}: {_engine(case)}, {threads_of(case)}; library of the engine: {size}"


def _case(case: Case) -> tuple[str, ...]:
    result, latency = case.result, case.result["latency"]
    return (
        case.bundle.label,
        _engine(case),
        f"{result['threads']}{cores_of(case)}",
        _workload(result["workload"]),
        headline(case),
        milliseconds(latency["p50"]),
        milliseconds(latency["p99"]),
        f"{result['per_second']:,.1f}",
        f"{len(latency['seconds']):,}" if latency["seconds"] else UNKNOWN,
        _seconds(result["load_seconds"]),
        _seconds(result["cold_start_seconds"]),
        UNKNOWN if result["peak_bytes"] is None else megabytes(result["peak_bytes"]),
        _golden(result["golden"]),
        f"no: {'; '.join(result['doubts'])}" if result["doubts"] else "yes",
    )


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f} s"


def _golden(golden: dict[str, Any] | None) -> str:
    if golden is None:
        return "not asked"
    if golden["failed"]:
        return f"failed: {', '.join(golden['failed'])}"
    return f"passed ({golden['cases']})"


def _workload(workload: str) -> str:
    return "sentences" if workload == "texts" else workload
