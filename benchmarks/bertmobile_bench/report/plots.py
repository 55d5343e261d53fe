"""What the measurements look like."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bertmobile_bench.report.drawing import INK, POINTS, WIDTH, Plot, draw
from bertmobile_bench.report.merge import Case, setting, workload_name
from bertmobile_bench.report.tables import UNKNOWN, headline, milliseconds
from bertmobile_export.cli.console import fidelity, megabytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_MEDIAN, _P90, _MEAN = "#2f86c6", "#e0702c", "#a05fb4"
# Cosines from so much on, the colour of their marks, and what it means.
_COSINES = (
    (0.999, "#1b9e77", "cosine ≥ 0.999"),
    (0.99, "#c98a00", "cosine ≥ 0.99"),
    (-np.inf, "#d1495b", "cosine < 0.99"),
)
_NO_COSINE = ("#7f7f7f", f"cosine {UNKNOWN}")
# Letters of a heading: as many as fit in a line.
_LONGEST = 58
# Of the width.
_INDENT = 0.015
_ROW_INCHES = 0.42
_MARGIN_INCHES = 0.75
_SCATTER_INCHES = 3.4
# From so many times the least on, an axis that begins at zero shows the others in a heap.
_WIDEST = 20
# Points of a density, enough for a smooth outline.
_OUTLINE = 120


@dataclass(frozen=True)
class _Row:
    """A line of a drawing, below those of its headings that are other than the row's before it."""

    headings: tuple[str, ...]
    label: str
    case: Case


def latencies(cases: Sequence[Case], identifier: str) -> Plot:
    """How the latencies of one workload on one device are spread, a row for each case; all runs count.

    Args:
        cases: of one device and one workload, at least one.
        identifier: begins the ids of the drawing.
    """
    first = cases[0]
    caption = f"Latency on {first.device.label}, {workload_name(first.result['workload'])}"
    rows = [_Row((case.bundle.label,), _labelled(setting(case), case), case) for case in cases]
    return _rows(rows, caption, identifier, _logarithmic, spread=True)


def overview(cases: Sequence[Case], identifier: str) -> Plot:
    """The p90 and the median of one workload across devices and recipes.

    Args:
        cases: of one workload, at least one; on real devices, or on emulated ones, and not on both: they
            share an axis.
        identifier: begins the ids of the drawing.
    """
    kind = "Emulated devices" if cases[0].device.emulated else "Devices"
    caption = f"{kind}, {workload_name(cases[0].result['workload'])}"
    rows = [
        _Row((case.device.label, case.bundle.label), _labelled(setting(case), case), case) for case in cases
    ]
    times = [case.headline for case in cases]

    def scale(axes: "Axes") -> None:
        if max(times) > _WIDEST * min(times):
            _logarithmic(axes)
        else:
            # Room for the mark of the slowest.
            axes.set_xlim(0, 1.06e3 * max(times))
            axes.set_xlabel("ms")

    return _rows(rows, caption, identifier, scale, spread=False)


def size_against_latency(cases: Sequence[Case], identifier: str) -> Plot:
    """Bytes of the model file against latency, coloured by the cosine with the source.

    Args:
        cases: bundles of one device and one workload, at least one.
        identifier: begins the ids of the drawing.
    """
    first = cases[0]
    caption = f"Size, latency and parity on {first.device.label}, {workload_name(first.result['workload'])}"
    # Source models, which have no facts, have no size.
    points = [(case, case.bundle.facts) for case in cases if case.bundle.facts]
    key = tuple(
        f"{case.bundle.label}, {_labelled(setting(case), case)}: {megabytes(facts['model_bytes'])}, "
        f"{_value(case)}, cosine {UNKNOWN if facts['cosine'] is None else fidelity(facts['cosine'])}"
        for case, facts in points
    )

    def paint(axes: "Axes") -> None:
        places = [(facts["model_bytes"] / 1e6, 1e3 * case.headline) for case, facts in points]
        for (case, facts), place in zip(points, places, strict=True):
            colour, meaning = _cosine_class(facts["cosine"])
            shape = "s" if case.summary_only else "o"
            axes.plot(*place, shape, color=colour, label=meaning)
        axes.set_yscale("log")
        axes.margins(0.12)
        _plain_ticks(axes.yaxis)
        axes.set_xlim(left=0)
        _number(axes, places)
        axes.set_xlabel("model file, MB")
        axes.set_ylabel("p90, ms; squares: mean" if any(case.summary_only for case in cases) else "p90, ms")
        _legend(axes)

    return Plot(caption, draw(paint, _SCATTER_INCHES, identifier, f"{caption}. {'; '.join(key)}."), key)


def _rows(
    rows: Sequence[_Row], caption: str, identifier: str, scale: Callable[["Axes"], None], *, spread: bool
) -> Plot:
    """A drawing with a text above each row: there a name may be as long as the drawing is wide."""
    places: list[float] = []
    headings: list[tuple[float, int, str]] = []
    before: tuple[str, ...] = ()
    y = 0.0
    for row in rows:
        same = 0
        while same < len(before) and before[same] == row.headings[same]:
            same += 1
        for level, heading in enumerate(row.headings[same:], start=same):
            headings.append((y + 0.3, level, _shortened(heading, _LONGEST)))
            y += 0.6
        places.append(y + 0.7)
        y, before = y + 1.1, row.headings

    def paint(axes: "Axes") -> None:
        across = axes.get_yaxis_transform()
        for place, level, heading in headings:
            weight = "normal" if level else "bold"
            axes.text(_INDENT * level, place, heading, transform=across, weight=weight, va="center")
        for place, row in zip(places, rows, strict=True):
            indent = _INDENT * len(row.headings)
            axes.text(indent, place - 0.45, row.label, transform=across, va="center", fontsize=POINTS - 1)
            axes.text(1, place - 0.45, _value(row.case), transform=across, va="center", ha="right")
            if spread:
                _draw_spread(axes, row.case, place)
            _draw_marks(axes, row.case, place)
        scale(axes)
        axes.set_ylim(y + 0.1, -0.1)
        axes.set_yticks([])
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        _legend(axes)

    spelt = "; ".join(f"{', '.join(row.headings)}, {row.label}: {_spelt(row.case)}" for row in rows)
    height = _MARGIN_INCHES + _ROW_INCHES * y
    return Plot(caption, draw(paint, height, identifier, f"{caption}. {spelt}."))


def _draw_spread(axes: "Axes", case: Case, place: float) -> None:
    """A line from the fastest run to the slowest, as thick as there are runs."""
    from matplotlib.mlab import GaussianKDE

    milliseconds = 1e3 * np.asarray(case.result["latency"]["seconds"])
    if not len(milliseconds):
        return
    low, high = milliseconds.min(), milliseconds.max()
    axes.plot([low, high], [place, place], color=_MEDIAN, linewidth=0.8)
    # Runs that all take the same time have no width, and no density.
    if high > 1.0001 * low:
        outline = np.geomspace(low, high, _OUTLINE)
        density = GaussianKDE(np.log(milliseconds))(np.log(outline))
        half = 0.27 * density / density.max()
        axes.fill_between(outline, place - half, place + half, color=_MEDIAN, alpha=0.35, linewidth=0)


def _draw_marks(axes: "Axes", case: Case, place: float) -> None:
    latency = case.result["latency"]
    if case.summary_only:
        axes.plot(1e3 * latency["mean"], place, "s", color=_MEAN, fillstyle="none", label="mean only")
        return
    if latency["p50"] is not None:
        axes.plot([1e3 * latency["p50"], 1e3 * latency["p90"]], [place, place], color=_P90, linewidth=1)
        axes.plot(1e3 * latency["p50"], place, "o", color=_MEDIAN, markersize=5, label="p50")
    axes.plot(1e3 * latency["p90"], place, "D", color=_P90, markersize=5, label="p90")


def _legend(axes: "Axes") -> None:
    """Above the axes, each meaning once, in a fixed order."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(sorted(zip(labels, handles, strict=True), key=lambda pair: pair[0]))
    axes.legend(
        once.values(), once.keys(), loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False,
        borderpad=0, fontsize=POINTS - 1, columnspacing=1, handletextpad=0.3,
    )  # fmt: skip


def _logarithmic(axes: "Axes") -> None:
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis)
    axes.set_xlabel("ms, logarithmic")


def _plain_ticks(axis: "Axis") -> None:
    """A logarithmic axis in plain numbers, with more of them the less it spans."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    marks = (1, 1.5, 2, 3, 5, 7) if decades < 1.2 else (1, 2, 5) if decades < 2.5 else (1,)
    axis.set_major_locator(LogLocator(subs=marks, numticks=12))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _number(axes: "Axes", places: Sequence[tuple[float, float]]) -> None:
    """Write its number beside each mark, moved up where another's is, with a line to where it belongs."""
    shown: list[tuple[float, float]] = []
    for index in sorted(range(len(places)), key=lambda index: places[index][::-1]):
        # Points, by the size that the axes will have, give or take a few.
        across, up = axes.transAxes.inverted().transform(axes.transData.transform(places[index]))
        x, y = 72 * 0.85 * WIDTH * across, 72 * 0.75 * _SCATTER_INCHES * up
        free = max([y, *(other + POINTS for at, other in shown if abs(at - x) < 2 * POINTS)])
        shown.append((x, free))
        axes.annotate(
            str(index + 1), places[index], (POINTS, free - y), textcoords="offset points", va="center",
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": INK, "shrinkA": 0},
        )  # fmt: skip


def _cosine_class(cosine: float | None) -> tuple[str, str]:
    if cosine is None:
        return _NO_COSINE
    return next((colour, meaning) for least, colour, meaning in _COSINES if cosine >= least)


def _labelled(label: str, case: Case) -> str:
    return f"{label}, not trusted" if case.result["doubts"] else label


def _value(case: Case) -> str:
    return headline(case) if case.summary_only else f"p90 {headline(case)}"


def _spelt(case: Case) -> str:
    median = case.result["latency"]["p50"]
    return _value(case) if median is None else f"{_value(case)}, median {milliseconds(median)}"


def _shortened(text: str, most: int) -> str:
    """The end of a text: there the names of bundles differ."""
    return text if len(text) <= most else f"…{text[1 - most :]}"
