"""The page: one file that needs nothing else and runs nothing."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

from bertmobile.errors import UsageError
from bertmobile_bench.report.drawing import Plot
from bertmobile_bench.report.merge import Case, Device, Merged, workload_place
from bertmobile_bench.report.plots import latencies, overview, size_against_latency
from bertmobile_bench.report.tables import (
    Table,
    about,
    bundle_table,
    comparison_table,
    device_table,
    result_table,
    turned,
)


@dataclass(frozen=True)
class _Section:
    """What is shown of one device."""

    device: Device
    results: Table
    plots: tuple[Plot, ...]


def render(merged: Merged, *, workload: str | None = None) -> str:
    """The page as HTML.

    Args:
        merged: what was measured.
        workload: tokens of a run, or "texts": what is compared across devices and recipes; by default what
            most results have.

    Raises:
        UsageError: no result has that workload.
    """
    import jinja2
    from markupsafe import Markup

    # Names of bundles and devices may be anything: all text is escaped but the drawings and the style.
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["drawn"] = lambda plot: Markup(plot.svg)
    here = resources.files(__package__)
    template = environment.from_string(here.joinpath("page.html.j2").read_text(encoding="utf-8"))
    chosen = _chosen(merged.cases, workload)
    html: str = template.render(
        style=Markup(here.joinpath("page.css").read_text(encoding="utf-8")),
        about=about(merged),
        merged=merged,
        devices=turned(device_table(merged)),
        bundles=bundle_table(merged),
        comparisons=comparison_table(merged.comparisons),
        overviews=list(_overviews(merged, chosen)),
        sections=list(_sections(merged, chosen)),
    )
    return html


def _chosen(cases: Sequence[Case], workload: str | None) -> str | None:
    """What is asked for; else what most cases have, of several the longest; None without cases."""
    counts = Counter(case.result["workload"] for case in cases)
    if workload is not None and workload not in counts:
        known = ", ".join(sorted(counts, key=workload_place))
        raise UsageError(f"no result has the workload {workload}; give --workload with one of {known}")
    # Sentences last: what a number of tokens takes says more.
    usual = sorted(counts, key=lambda each: (counts[each], each != "texts", workload_place(each)))
    return workload or next(reversed(usual), None)


def _overviews(merged: Merged, workload: str | None) -> Iterator[Plot]:
    """Real devices and emulated ones have an axis each."""
    for emulated in (False, True):
        cases = [
            case
            for case in merged.cases
            if case.device.emulated is emulated and case.result["workload"] == workload
        ]
        if cases:
            yield overview(cases, f"overview-{'emulated' if emulated else 'real'}")


def _sections(merged: Merged, workload: str | None) -> Iterator[_Section]:
    for number, device in enumerate(merged.devices, start=1):
        cases = [case for case in merged.cases if case.device is device]
        if cases:
            yield _Section(
                device, result_table(device, cases), tuple(_plots(cases, workload, f"device-{number}"))
            )


def _plots(cases: Sequence[Case], workload: str | None, identifier: str) -> Iterator[Plot]:
    """Of one device."""
    sized = [case for case in cases if case.bundle.facts and case.result["workload"] == workload]
    if sized:
        yield size_against_latency(sized, f"{identifier}-size")
    for each in sorted({case.result["workload"] for case in cases}, key=workload_place):
        alike = [case for case in cases if case.result["workload"] == each]
        yield latencies(alike, f"{identifier}-{each}")
