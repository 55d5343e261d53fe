"""``bertmobile-export``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bertmobile.console import print_json, run, verbose_option
from bertmobile.errors import UsageError

if TYPE_CHECKING:
    from bertmobile_export.export import Request, Result

DEFAULT_MODEL = "boltuix/bert-mobile"

EXAMPLES = """
\b
Examples:
  bertmobile-export --target tflite --int8
      The default model from the hub, 8-bit, for LiteRT.
  bertmobile-export --target tflite --int8 --model ./my-bert --output out
      A checkpoint folder; the bundle is made in out/.
  bertmobile-export --target tflite --fp16 --seq-len 64,128 --task feature-extraction
      Sentence embeddings in half precision, two length buckets.
  bertmobile-export --target tflite --recipe int8-static --calibration texts.txt
      Calibrated 8-bit activations for an NPU; one text a line.
  bertmobile-export --target tflite --dry-run
      What each recipe would weigh, from the config alone.

\b
Exit codes: 0 done, 1 failed, 2 usage, 3 parity below its threshold (the bundle is
kept as <name>.failed), 4 a package is missing.
"""


def _lengths(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        lengths = tuple(int(part) for part in value.split(","))
    except ValueError as failure:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 32,64,128") from failure
    if min(lengths) < 1:
        raise click.BadParameter("lengths must be positive")
    return lengths


@click.command(name="bertmobile-export", epilog=EXAMPLES)
@click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, help="Hub id or folder of a BERT checkpoint."
)
@click.option("--revision", help="Branch, tag or commit on the hub.")
@click.option("--task", help="Hugging Face task name; by default the checkpoint's own.")
@click.option("--target", required=True, help="Format to write: tflite.")
@click.option("--int8", is_flag=True, help="The recipe int8.")
@click.option("--fp16", is_flag=True, help="The recipe float16.")
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="A recipe by name or from a JSON file.  [default: float32]",
)
@click.option(
    "--seq-len",
    "lengths",
    callback=_lengths,
    metavar="N,N,...",
    help="Length buckets in tokens.  [default: 32,64,128,256]",
)
@click.option("--full-logits", is_flag=True, help="Plain outputs: every row, no mask_positions.")
@click.option(
    "--calibration",
    type=click.Path(),
    metavar="FILE",
    help="Texts to calibrate with, one a line; built-in ones by default.",
)
@click.option(
    "--untrained", is_flag=True, help="The weights were never trained: judge parity on cosines alone."
)
@click.option(
    "--output",
    type=click.Path(),
    default="artifacts",
    show_default=True,
    metavar="DIR",
    help="Folder in which the bundle folder is made.",
)
@click.option("--overwrite", is_flag=True, help="Replace a bundle of the same name.")
@click.option("--dry-run", is_flag=True, help="Only predict sizes; reads nothing but the config.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.version_option(package_name="bertmobile")
@verbose_option
@click.pass_context
def command(
    context: click.Context,
    /,
    int8: bool,
    fp16: bool,
    recipe: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn a BERT checkpoint into a bundle for a phone, and prove that it is still the same model."""
    # Imported here and below, not above: --help must answer at once.
    from pathlib import Path

    from bertmobile_export.export import Request
    from bertmobile_export.recipes import read_recipe, recipe_names

    chosen = [name for name, given in (("int8", int8), ("float16", fp16), (recipe, recipe)) if name and given]
    if len(chosen) > 1:
        raise UsageError(
            f"more than one recipe: {', '.join(chosen)}; give one of --int8, --fp16 and --recipe"
        )
    options["output"] = Path(options["output"])
    options["calibration"] = Path(options["calibration"]) if options["calibration"] else None
    if dry_run:
        names = chosen or recipe_names()
        _dry_run([Request(recipe=read_recipe(name), **options) for name in names], as_json)
        return
    _export(
        Request(recipe=read_recipe(chosen[0] if chosen else "float32"), **options),
        as_json,
        context.obj.verbose,
    )


def _dry_run(requests: "list[Request]", as_json: bool) -> None:
    from rich.console import Console

    from bertmobile_export.cli.console import megabytes, print_table
    from bertmobile_export.export import plan_export

    plans = [plan_export(request) for request in requests]
    plan = plans[0][0]
    if as_json:
        document = {
            "dry_run": True,
            "model": plan.model,
            "target": plan.target,
            "task": plan.task,
            "lengths": list(plan.lengths),
            "recipes": {planned.recipe.name: size for planned, size in plans},
        }
        print_json(document)
        return
    print_table(
        Console(),
        ("recipe", "predicted size"),
        [(planned.recipe.name, megabytes(size)) for planned, size in plans],
        title=f"{plan.model}, {plan.task}, {plan.target}, lengths {', '.join(map(str, plan.lengths))}",
    )


def _export(request: "Request", as_json: bool, verbose: bool) -> None:
    from bertmobile_export.cli.console import progress_bar, quiet_converters, stderr_console
    from bertmobile_export.export import export, raise_for_parity

    console = stderr_console()
    with progress_bar(console, visible=console.is_terminal) as progress, quiet_converters(verbose):
        result = export(request, progress)
    if as_json:
        print_json(_document(result))
    else:
        _show(result)
    raise_for_parity(result)


def _document(result: "Result") -> dict[str, Any]:
    return {
        "bundle": str(result.bundle),
        "target": result.plan.target,
        "task": result.plan.task,
        "recipe": result.plan.recipe.name,
        "lengths": list(result.plan.lengths),
        "bytes": result.bytes,
        "source_bytes": result.source_bytes,
        "seconds": round(result.seconds, 2),
        "parity": result.parity,
    }


def _show(result: "Result") -> None:
    from rich.console import Console

    from bertmobile_export.cli.console import megabytes, print_table
    from bertmobile_export.cli.parity_table import parity_rows, parity_title

    console = Console()
    share = result.bytes / result.source_bytes
    print_table(
        console,
        ("recipe", "float32", "now", "share", "seconds"),
        [
            (
                result.plan.recipe.name,
                megabytes(result.source_bytes),
                megabytes(result.bytes),
                f"{share:.0%}",
                f"{result.seconds:.1f}",
            )
        ],
        title=str(result.bundle),
    )
    console.print()
    print_table(console, *parity_rows(result.parity), title=parity_title(result.parity))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run(command, argv, extra="export")
