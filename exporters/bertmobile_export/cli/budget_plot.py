"""A picture of sizes against what they are expected to lose."""

from pathlib import Path
from typing import TYPE_CHECKING

from bertmobile.errors import MissingDependencyError
from bertmobile_export.budget.bounds import kept_cosine

if TYPE_CHECKING:
    from bertmobile_export.budget.survey import Survey
    from bertmobile_export.export import Result


def require_matplotlib() -> None:
    """Find out before the work, not after it.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as failure:
        raise MissingDependencyError("matplotlib", "plot") from failure


def plot(results: "list[tuple[Result, Survey]]", path: Path) -> None:
    """Draw loss over size: the solver's path, the file that was written, and what is usually written.

    The vertical axis is one quantity, 1 - the mean cosine of the outputs (the lowest of them) on the parity
    texts, logarithmic: measured for the files, and expected in proportion to them for paths and usual files.

    Args:
        results: exports with a budget, a line for each.
        path: an SVG or PNG file.
    """
    import matplotlib

    matplotlib.use("agg")
    # The same export draws the same bytes, with text as text.
    matplotlib.rcParams.update({"svg.hashsalt": "bertmobile", "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.8), layout="constrained")
    for index, (result, survey) in enumerate(results):
        colour, target = f"C{index}", result.plan.target
        points = list(survey.path())
        sizes, losses = [p.bytes / 1e6 for p in points], [_lost(survey.cosine(p.loss)) for p in points]
        axes.plot(sizes, losses, color=colour, label=f"{target}, the solver's path (expected)")
        axes.plot(
            result.bytes / 1e6,
            _lost(kept_cosine(result.parity)),
            "o",
            color=colour,
            markersize=9,
            label=f"{target}, {result.plan.recipe.name} (measured by parity)",
        )
        for marker, (name, usual) in zip("sD", survey.usual.items(), strict=True):
            axes.plot(
                usual.bytes / 1e6,
                _lost(survey.cosine(usual.loss)),
                marker,
                color=colour,
                fillstyle="none",
                linestyle="none",
                label=f"{target}, {name} (expected)",
            )
    axes.set_yscale("log")
    axes.set_xlabel("model file, MB")
    axes.set_ylabel("1 - mean cosine of the outputs to float32")
    axes.set_title(results[0][0].plan.model)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _lost(cosine: float) -> float:
    return max(1 - cosine, 1e-7)
