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
  bertmobile-bench accuracy my-bert-fill-mask-int8.onnx --reference ./my-bert --data texts.txt
      Pseudo-perplexity of both; a text a line, no labels.
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
    help="Texts: .tsv with a header, .jsonl, or .txt; with labels for text-classification.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Score N texts, spread over the file.")
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
    limit: int | None,
    masks_per_text: int | None,
    seed: int,
    engine: str | None,
    allow_different: bool,
    as_json: bool,
) -> None:
    """Score a bundle, run as an app runs it, and its source model in float32 on the same texts.

    For text-classification: the share of right labels, for which each text has a label, by name or by number.
    For fill-mask: pseudo-perplexity (https://arxiv.org/abs/1910.14659), for which texts are all it needs.
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


def _show(result: "Accuracy") -> None:
    from rich.console import Console

    from bertmobile_export.cli.console import print_table

    title = (
        f"{result.bundle}, {result.engine} {result.engine_version}, against {result.reference} in float32: "
        f"{result.texts:,} texts"
    )
    if result.task == "fill-mask":
        title += f", {result.score.count:,} masks"
    if result.truncated:
        title += f", {result.truncated:,} texts cut to the longest length"
    if result.verdict != "passed":
        title += f"; parity of the bundle: {result.verdict}"
    header = ("", "reference", "bundle", "change", "95 % interval", "flipped")
    print_table(Console(), header, [_row(result.score)], title=title)


def _row(score: "Score") -> tuple[str, ...]:
    low, high = score.interval
    flipped = f"{100 * score.flipped:.2f} %"
    if score.measure == "accuracy":
        shares = (f"{100 * score.reference:.2f} %", f"{100 * score.bundle:.2f} %")
        return score.measure, *shares, f"{score.change:+.2f} points", f"{low:+.2f} to {high:+.2f}", flipped
    values = (f"{score.reference:.3f}", f"{score.bundle:.3f}")
    return score.measure, *values, f"{score.change:+.2f} %", f"{low:+.2f} to {high:+.2f} %", flipped
