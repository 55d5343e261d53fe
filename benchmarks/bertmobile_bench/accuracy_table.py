"""``python -m bertmobile_bench.accuracy_table``: makes models, exports and scores them, and writes the table.

Run from a checkout: the scripts in ``examples/`` train the models. What is done is kept in a folder, so that
a run that was stopped goes on where it was.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bertmobile_bench.accuracy import Source, measure
from bertmobile_export.export import Request, export
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets import target_names

TARGETS = tuple(target_names())
RECIPES = ("int8", "int8-static", "int4", "mixed")


@dataclass(frozen=True)
class Model:
    """How a model is made and scored.

    Attributes:
        script: in ``examples/``; it makes the checkpoint and the data.
        task: Hugging Face task name.
        data: name of the file with the held-out texts.
        masks: of a text, for pseudo-perplexity.
    """

    script: str
    task: str
    data: str
    masks: int | None = None


MODELS = {
    "sentiment": Model("train_sentiment.py", "text-classification", "test.tsv"),
    "masked-lm": Model("train_masked_lm.py", "fill-mask", "test.jsonl", masks=5),
}
BEGIN, END = "<!-- accuracy table -->", "<!-- end -->"
HEADER = (
    "| target | recipe | bytes | accuracy, points | flipped | pseudo-perplexity "
    "| 1 - cosine of its scores | bytes of that file |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """One bundle, scored.

    Attributes:
        model: key of ``MODELS``.
        bytes: of its model file or package.
        cosine: mean over the parity texts, of the logits.
        count: answers that were scored: texts, or masks.
        reference: share of right answers, or pseudo-perplexity, of the model in float32.
        change, low, high: of accuracy in percentage points, or of pseudo-perplexity in percent; with the 95 %
            interval of the paired difference.
        flipped: share of answers that are others than the reference's.
    """

    model: str
    target: str
    recipe: str
    bytes: int
    cosine: float
    count: int
    reference: float
    change: float
    low: float
    high: float
    flipped: float


def train(work: Path, examples: Path) -> None:
    """Make the models that are not there yet."""
    for name, model in MODELS.items():
        if not (work / name / model.data).is_file():
            subprocess.run([sys.executable, examples / model.script, work / name], check=True)


def score(work: Path, targets: Sequence[str], recipes: Sequence[str]) -> Iterator[Row]:
    """Export and score what has no row yet; rows are kept in ``work/rows.jsonl``.

    Raises:
        BertMobileError: a bundle cannot be made or scored; rows before it are kept.
    """
    kept = work / "rows.jsonl"
    known = (
        [Row(**json.loads(line)) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []
    )
    for name, model in MODELS.items():
        done = {(row.target, row.recipe): row for row in known if row.model == name}
        source = None
        for recipe in recipes:
            for target in targets:
                if (target, recipe) not in done:
                    source = source or Source.open(str(work / name), model.task)
                    row = _score(work, name, target, recipe, source)
                    with kept.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(row)) + "\n")
                    done[target, recipe] = row
                yield done[target, recipe]


def _score(work: Path, name: str, target: str, recipe: str, source: Source) -> Row:
    request = Request(str(work / name), target, read_recipe(recipe), output=work / "bundles", overwrite=True)
    result = export(request)
    model = MODELS[name]
    found = measure(result.bundle, source, work / name / model.data, masks_per_text=model.masks)
    low, high = found.score.interval
    return Row(
        model=name,
        target=target,
        recipe=recipe,
        bytes=result.bytes,
        cosine=result.parity["outputs"]["logits"]["cosine_mean"],
        count=found.score.count,
        reference=found.score.reference,
        change=found.score.change,
        low=low,
        high=high,
        flipped=found.score.flipped,
    )


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line for each target and recipe, and before it what the references score."""
    by_key: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        by_key.setdefault((row.target, row.recipe), {})[row.model] = row
    lines = [_line(target, recipe, found) for (target, recipe), found in by_key.items()]
    first: Mapping[str, Row] = {row.model: row for row in reversed(rows)}
    sentiment, masked = first["sentiment"], first["masked-lm"]
    return "\n".join(
        [
            f"In float32: accuracy {sentiment.reference:.2%} of {sentiment.count:,} sentences, "
            f"pseudo-perplexity {masked.reference:.2f} over {masked.count:,} masks.",
            "",
            HEADER,
            *lines,
        ]
    )


def _line(target: str, recipe: str, found: Mapping[str, Row]) -> str:
    sentiment, masked = found["sentiment"], found["masked-lm"]
    cells = (
        target,
        f"`{recipe}`",
        f"{sentiment.bytes:,}",
        f"{sentiment.change:+.2f} ({sentiment.low:+.2f} to {sentiment.high:+.2f})",
        f"{sentiment.flipped:.2%}",
        f"{masked.change:+.2f} % ({masked.low:+.2f} to {masked.high:+.2f})",
        # Two logits point nearly the same way whatever happens to them; 30,522 do not.
        f"{1 - masked.cosine:.1e}",
        f"{masked.bytes:,}",
    )
    return f"| {' | '.join(cells)} |"


def put(document: str, found: str) -> str:
    """``document`` with the table between its markers.

    Raises:
        ValueError: they are not there.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{found}\n{END}{after}"


@click.command()
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--work", type=click.Path(path_type=Path), default="accuracy", show_default=True, help="Folder."
)
@click.option("--target", "targets", multiple=True, default=TARGETS, type=click.Choice(TARGETS))
@click.option("--recipe", "recipes", multiple=True, default=RECIPES)
def main(page: Path, work: Path, targets: tuple[str, ...], recipes: tuple[str, ...]) -> None:
    """Score all targets and recipes, and write the table into PAGE.

    What the folder already has is not measured again: empty it after a change of the exporters.
    """
    work.mkdir(parents=True, exist_ok=True)
    document = page.read_text("utf-8")
    put(document, "")
    train(work, Path(__file__).parents[2] / "examples")
    rows = []
    for row in score(work, targets, recipes):
        rows.append(row)
        click.echo(f"{row.model} {row.target} {row.recipe}: {row.change:+.2f}, {row.flipped:.2%}", err=True)
    page.write_text(put(document, table(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
