"""``bertmobile-export``."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from bertmobile.console import numbers, print_json, run, verbose_option
from bertmobile.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from bertmobile_export.export import Request, Result
    from bertmobile_export.parity.agreement import Agreement
    from bertmobile_export.plan import Plan

DEFAULT_MODEL = "boltuix/bert-mobile"

ALL = "all"
MIXED = "mixed"
_UNITS = {"b": 1, "kb": 1_000, "mb": 1_000_000, "mib": 2**20, "gb": 1_000_000_000}

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
  bertmobile-export --target all --int8
      TFLite, ONNX and Core ML of one checkpoint, and one table that compares them.
  bertmobile-export --target onnx --recipe int8-static --portable --seq-len 128
      Standard operators at a fixed length, for a phone's accelerator.
  bertmobile-export --target coreml --fp16 --ios 17
      An ML Program for iOS 17 and later; no Mac needed.
  bertmobile-export --target tflite --max-size 25MB
      A width for each matrix, chosen so that the file keeps within the limit and loses least.
  bertmobile-export --target tflite --max-flips 1% --model ./my-classifier
      The smallest file that changes at most one label in a hundred.
  bertmobile-export --target tflite --int8 --android ~/AndroidStudioProjects/MyApp/app
      The same as the first, placed into an app.
  bertmobile-export --target all --dry-run
      What each recipe would weigh, from the config alone.

\b
Exit codes: 0 done, 1 failed, 2 usage, 3 parity below its threshold (the bundle is
kept as <name>.failed), 4 a package is missing.
"""


def _size(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|MiB|GB)?", value.strip(), re.IGNORECASE)
    size = int(float(found[1]) * _UNITS[(found[2] or "B").lower()]) if found else 0
    if size < 1:
        raise click.BadParameter(f"{value!r} is not a size such as 25MB (a million bytes each) or 24MiB")
    return size


def _share(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)", value.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else 1.0
    if share >= 1:
        raise click.BadParameter(f"{value!r} is not a share below 1, such as 1% or 0.01")
    return share


def _picture(context: click.Context, option: click.Parameter, value: str | None) -> "Path | None":
    from pathlib import Path

    if value is None:
        return None
    if Path(value).suffix not in (".svg", ".png"):
        raise click.BadParameter(f"{value!r} is neither an .svg nor a .png file")
    return Path(value)


@click.command(name="bertmobile-export", epilog=EXAMPLES)
@click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, help="Hub id or folder of a BERT checkpoint."
)
@click.option("--revision", help="Branch, tag or commit on the hub.")
@click.option("--task", help="Hugging Face task name; by default the checkpoint's own.")
@click.option("--target", required=True, help="Format to write: tflite, onnx, coreml, or all of them.")
@click.option("--int8", is_flag=True, help="The recipe int8.")
@click.option("--fp16", is_flag=True, help="The recipe float16.")
@click.option("--int4", is_flag=True, help="The recipe int4.")
@click.option(
    "--max-size",
    callback=_size,
    metavar="SIZE",
    help="The recipe mixed, with a limit for the model file, such as 25MB: the formats that lose least.",
)
@click.option(
    "--min-parity",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="COS",
    help="The recipe mixed, solved the other way round: the smallest file that keeps this mean cosine.",
)
@click.option(
    "--max-flips",
    callback=_share,
    metavar="SHARE",
    help="The recipe mixed, for a classifier: the smallest file of whose labels at most this share, such as "
    "1%, differs from the source's.",
)
@click.option(
    "--effort",
    type=click.Choice(["standard", "high"]),
    help="Of rounding below 8 bits: high takes longer and loses less. A run that was stopped goes on.",
)
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="A recipe by name or from a JSON file.  [default: float32]",
)
@click.option(
    "--seq-len",
    "lengths",
    callback=numbers,
    metavar="N,N,...",
    help="Length buckets in tokens.  [default: 32,64,128,256; 128 where a file holds only one]",
)
@click.option("--full-logits", is_flag=True, help="Plain outputs: every row, no mask_positions.")
@click.option(
    "--mediapipe",
    is_flag=True,
    help="TFLite: a model that MediaPipe's TextClassifier or TextEmbedder runs as it is; one length.",
)
@click.option(
    "--portable",
    is_flag=True,
    help="ONNX: standard operators and one length, for the accelerators of phones and for other engines.",
)
@click.option("--ort", is_flag=True, help="ONNX: the .ort format, for reduced builds of ONNX Runtime.")
@click.option(
    "--ios", type=int, metavar="VERSION", help="Core ML: lowest iOS version, 16, 17 or 18.  [default: 18]"
)
@click.option(
    "--calibration",
    type=click.Path(),
    metavar="FILE",
    help="Texts to calibrate 8-bit activations with, one a line; built-in ones by default.",
)
@click.option(
    "--texts",
    type=click.Path(),
    metavar="FILE",
    help="Texts to judge the bundle on, one a line; built-in ones by default.",
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
@click.option(
    "--android",
    type=click.Path(),
    metavar="DIR",
    help="TFLite and ONNX: also copy the bundle into the assets of an app's module or of a Play AI pack, "
    "and print what Gradle has to be told.",
)
@click.option("--overwrite", is_flag=True, help="Replace a bundle of the same name.")
@click.option(
    "--plot",
    callback=_picture,
    metavar="FILE",
    help="With a budget (such as --max-size): draw sizes against losses, as .svg or .png.",
)
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
    int4: bool,
    max_size: int | None,
    min_parity: float | None,
    max_flips: float | None,
    recipe: str | None,
    plot: "Path | None",
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn a BERT checkpoint into a bundle for a phone, and prove that it is still the same model."""
    # Imported here and below, not above: --help must answer at once.
    from pathlib import Path

    budgets = {"max_size": max_size, "min_parity": min_parity, "max_flips": max_flips}
    limits = [name for name, value in budgets.items() if value is not None]
    if limits and recipe == MIXED:
        recipe = None
    named = (("int8", int8), ("float16", fp16), ("int4", int4), (recipe, recipe))
    chosen = [name for name, given in named if name and given]
    chosen += [f"{MIXED} (--{name.replace('_', '-')})" for name in limits]
    if len(chosen) > 1:
        raise UsageError(
            f"more than one recipe: {', '.join(chosen)}; give one of --int8, --fp16, --int4, --max-size, "
            "--min-parity, --max-flips and --recipe"
        )
    if limits:
        chosen = [MIXED]
    options |= budgets
    options["output"] = Path(options["output"])
    for name in ("calibration", "texts", "android"):
        options[name] = Path(options[name]) if options[name] else None
    if dry_run:
        _dry_run(_plans(chosen, options), options["target"], as_json)
        return
    requests = _requests(chosen[0] if chosen else "float32", options)
    if plot:
        from bertmobile_export.cli.budget_plot import require_matplotlib

        if requests[0].recipe.budget is None:
            raise UsageError(
                f"--plot draws what a budget chooses from, and recipe {requests[0].recipe.name} has none; "
                "give --max-size, --min-parity or --max-flips, or leave --plot out"
            )
        require_matplotlib()
    _export(requests, plot, as_json, context.obj.verbose)


def _requests(recipe: str, options: dict[str, Any]) -> "list[Request]":
    """One request, or one for each target; then each target gets the options that mean something to it."""
    from bertmobile_export.export import OPTIONS, Request
    from bertmobile_export.recipes import flipping, keeping, read_recipe, with_effort, within
    from bertmobile_export.targets import get_target, target_names

    given = dict(options)
    budgets = {
        adapt: given.pop(name)
        for name, adapt in (("max_size", within), ("min_parity", keeping), ("max_flips", flipping))
    }
    effort = given.pop("effort")
    request = Request(recipe=read_recipe(recipe), **given)
    if effort:
        request = replace(request, recipe=with_effort(request.recipe, effort))
    for adapt, value in budgets.items():
        if value is not None:
            request = replace(request, recipe=adapt(request.recipe, value))
    if request.target != ALL:
        return [request]
    requests = []
    for name in target_names():
        foreign: dict[str, Any] = dict.fromkeys(set(OPTIONS) - set(get_target(name).options))
        requests.append(replace(request, target=name, **foreign))
    return requests


def _plans(chosen: list[str], options: dict[str, Any]) -> "list[list[tuple[Plan, int]]]":
    """For each recipe the plan of each target and the predicted size of its model file.

    Without a choice, for all recipes that go with the options.
    """
    from bertmobile_export.export import plan_export
    from bertmobile_export.recipes import recipe_names

    plans = []
    refused = None
    for recipe in chosen or recipe_names():
        try:
            plans.append([plan_export(request) for request in _requests(recipe, options)])
        except UsageError as refusal:
            if chosen:
                raise
            refused = refusal
    if refused is not None and not plans:
        raise refused
    return plans


def _dry_run(plans: "list[list[tuple[Plan, int]]]", target: str, as_json: bool) -> None:
    from rich.console import Console

    from bertmobile_export.cli.console import megabytes, print_table

    targets = [plan.target for plan, _ in plans[0]]
    plan, _ = plans[0][0]
    if as_json:
        sizes = {row[0][0].recipe.name: [size for _, size in row] for row in plans}
        document = {
            "dry_run": True,
            "model": plan.model,
            "target": target,
            "task": plan.task,
            "lengths": list(plan.lengths),
            "recipes": {
                name: dict(zip(targets, row, strict=True)) if target == ALL else row[0]
                for name, row in sizes.items()
            },
        }
        print_json(document)
        return
    lengths = {planned.target: ", ".join(map(str, planned.lengths)) for planned, _ in plans[0]}
    if len(set(lengths.values())) == 1:
        spelt = lengths[plan.target]
    else:
        spelt = "; ".join(f"{name} {values}" for name, values in lengths.items())
    print_table(
        Console(),
        ("recipe", *targets),
        [(row[0][0].recipe.name, *(megabytes(size) for _, size in row)) for row in plans],
        title=f"{plan.model}, {plan.task}, lengths {spelt}: predicted sizes",
    )


def _export(requests: "list[Request]", plot: "Path | None", as_json: bool, verbose: bool) -> None:
    from bertmobile_export.cli.console import progress_bar, quiet_converters, stderr_console
    from bertmobile_export.export import export_all, raise_for_parity

    console = stderr_console()
    with progress_bar(console, visible=console.is_terminal) as progress, quiet_converters(verbose):
        results, agreement = export_all(requests, progress)
        if plot:
            from bertmobile_export.cli.budget_plot import plot as draw

            draw([(result, result.survey) for result in results if result.survey], plot)
    for note in dict.fromkeys(note for result in results for note in result.plan.notes):
        click.echo(f"note: {note}", err=True)
    documents = [_document(result) for result in results]
    if not as_json:
        _show(results, agreement)
    elif agreement is None:
        print_json(documents[0])
    else:
        print_json({"bundles": documents, **_agreement_document(agreement)})
    raise_for_parity(results)


def _document(result: "Result") -> dict[str, Any]:
    placed = result.placed
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
        **({"android": {"bundle": str(placed.path), "gradle": placed.gradle}} if placed else {}),
    }


def _agreement_document(agreement: "Agreement") -> dict[str, Any]:
    return {
        "agreement": [{"targets": list(pair), **numbers} for pair, numbers in agreement.numbers.items()],
        "milliseconds": dict(agreement.milliseconds),
    }


def _show(results: "list[Result]", agreement: "Agreement | None") -> None:
    from rich.console import Console

    from bertmobile_export.cli.budget_table import format_rows, formats_title, size_rows
    from bertmobile_export.cli.console import print_table
    from bertmobile_export.cli.parity_table import comparison_rows, print_agreement, print_parity

    console = Console()
    milliseconds = agreement.milliseconds if agreement else {}
    first = results[0]
    title = str(first.bundle) if agreement is None else f"{first.plan.recipe.name}, {first.plan.task}"
    print_table(console, *comparison_rows(results, milliseconds), title=title)
    for result in results:
        if result.survey:
            console.print()
            print_table(console, *format_rows(result, result.survey), title=formats_title(result))
            console.print()
            print_table(console, *size_rows(result, result.survey))
    for result in results:
        console.print()
        if agreement:
            console.print(str(result.bundle), soft_wrap=True, highlight=False, markup=False)
        print_parity(console, result.parity)
    if agreement:
        console.print()
        print_agreement(console, agreement)
    for placed in [result.placed for result in results if result.placed]:
        plainly: dict[str, Any] = {"soft_wrap": True, "highlight": False, "markup": False}
        console.print(f"\nCopied to {placed.path}. The app's build.gradle.kts needs:", **plainly)
        for line in placed.gradle:
            console.print(f"  {line}", **plainly)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run(command, argv, extra="export")
