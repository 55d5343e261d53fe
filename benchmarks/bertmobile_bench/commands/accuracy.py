"""``bertmobile-bench accuracy``."""

from typing import TYPE_CHECKING

import click

from bertmobile.console import print_json, verbose_option

if TYPE_CHECKING:
    from bertmobile_bench.accuracy import Accuracy, Score

EXAMPLES = """\b
Examples:
  bertmobile-bench accuracy reviews-text-classification-int8.onnx --reference ./reviews --data test.tsv
      Accuracy of both, and the interval of their difference. test.tsv begins with text<TAB>label.
  bertmobile-bench accuracy mrpc-text-classification-int8.onnx --reference ./mrpc --data dev.tsv --measure f1
      F1 alone. GLUE's own files are read as they are.
  bertmobile-bench accuracy ner-token-classification-int8.onnx --reference ./ner --data test.conll
      F1, precision and recall of entities, and accuracy of words.
  bertmobile-bench accuracy qa-question-answering-int8.onnx --reference ./qa --data dev-v1.1.json
      Exact match and F1, as SQuAD has them.
  bertmobile-bench accuracy my-bert-fill-mask-int8.onnx --reference ./my-bert --data texts.txt
      Pseudo-perplexity and top-1 and top-5 of both; a text a line, no labels.
  bertmobile-bench accuracy BUNDLE --reference ./my-bert --data texts.txt --masks-per-text 5
      Quicker: five tokens of each text instead of all.

\b
Exit codes: 0 done, 1 failed, 2 usage, 3 the tokens differ, 4 a package is missing.
"""


@click.command("accuracy", epilog=EXAMPLES)
@click.argument("bundle", type=click.Path())
@click.option("--reference", required=True, metavar="MODEL", help="Hub id or folder of the source model.")
@click.option("--revision", help="Branch, tag or commit of the reference on the hub.")
@click.option(
    "--data", required=True, type=click.Path(), metavar="FILE",
    help="Texts with labels (.tsv, .jsonl), texts (also .txt), tagged words (.conll, .jsonl) or questions "
    "(SQuAD's .json, .jsonl), as the task needs them.",
)  # fmt: skip
@click.option(
    "--measure", "measures", multiple=True, metavar="NAME",
    help="Take this measure only; may be given several times. By default all that apply.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Score N examples, spread over the file."
)
@click.option(
    "--masks-per-text", type=click.IntRange(min=1), metavar="N",
    help="Mask N tokens of each text, chosen by chance, instead of all (fill-mask).",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the choice of masks.")
@click.option("--engine", help="Engine to run the bundle with; by default the target's own.")
@click.option("--allow-different", is_flag=True, help="Compare even if the reference has other weights.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@verbose_option
@click.pass_context
def command(
    context: click.Context,
    bundle: str,
    reference: str,
    revision: str | None,
    data: str,
    measures: tuple[str, ...],
    limit: int | None,
    masks_per_text: int | None,
    seed: int,
    engine: str | None,
    allow_different: bool,
    as_json: bool,
) -> None:
    """Score a bundle, run as an app runs it, and its source model in float32 on the same texts.

    \b
    text-classification   accuracy, f1, matthews; pearson, spearman of one number
    token-classification  f1, precision, recall of entities; accuracy of words
    question-answering    exact-match, f1
    next-sentence         accuracy
    feature-extraction    spearman, pearson of the cosine of two texts
    fill-mask             pseudo-perplexity, top-1, top-5; needs no labels

    The interval tells what the texts can tell: if it holds zero, they show no difference.
    """
    # Imported here, not above: --help must answer at once.
    from pathlib import Path

    from bertmobile_bench.accuracy import measure
    from bertmobile_export.cli.console import progress_bar, quiet_converters, stderr_console

    console = stderr_console()
    with (
        progress_bar(console, visible=console.is_terminal) as progress,
        quiet_converters(context.obj.verbose),
    ):
        result = measure(
            Path(bundle),
            reference,
            Path(data),
            revision=revision,
            measures=measures,
            limit=limit,
            masks_per_text=masks_per_text,
            seed=seed,
            engine=engine,
            allow_different=allow_different,
            progress=progress,
        )
    if as_json:
        print_json(result.to_json())
    else:
        _show(result)


# What the answers of a task are, where they are no texts.
_ANSWERS = {"fill-mask": "masks", "token-classification": "words"}


def _show(result: "Accuracy") -> None:
    from rich.console import Console

    from bertmobile_export.cli.console import print_table

    kind = "questions" if result.task == "question-answering" else "texts"
    title = (
        f"{result.bundle}, {result.engine} {result.engine_version}, against {result.reference} in float32: "
        f"{result.texts:,} {kind}"
    )
    if result.task in _ANSWERS:
        title += f", {result.score.count:,} {_ANSWERS[result.task]}"
    if result.truncated:
        title += f", {result.truncated:,} texts cut to the longest length"
    if result.verdict != "passed":
        title += f"; parity of the bundle: {result.verdict}"
    header = ("", "reference", "bundle", "change", "95 % interval", "flipped")
    print_table(Console(), header, list(map(_row, result.scores)), title=title)


def _row(score: "Score") -> tuple[str, ...]:
    reference, bundle, change = score.reference, score.bundle, score.change
    low, high = score.interval
    match score.unit:
        case "percentage points":
            values = f"{100 * reference:.2f} %", f"{100 * bundle:.2f} %", f"{change:+.2f} points"
            interval = f"{low:+.2f} to {high:+.2f}"
        case "percent":
            values = f"{reference:.3f}", f"{bundle:.3f}", f"{change:+.2f} %"
            interval = f"{low:+.2f} to {high:+.2f} %"
        case "difference":
            values = f"{reference:.4f}", f"{bundle:.4f}", f"{change:+.4f}"
            interval = f"{low:+.4f} to {high:+.4f}"
    return score.measure, *values, interval, f"{100 * score.flipped:.2f} %"
