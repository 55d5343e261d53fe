"""``bertmobile-parity``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bertmobile.console import print_json, run, verbose_option
from bertmobile.errors import ParityError, UsageError

if TYPE_CHECKING:
    from bertmobile_export.parity.bisect import LayerFidelity

EXAMPLES = """
\b
Examples:
  bertmobile-parity artifacts/bert-mobile-fill-mask-int8.tflite --reference boltuix/bert-mobile
      Compare a bundle with its source on the built-in texts.
  bertmobile-parity BUNDLE --reference ./my-bert --texts reviews.txt
      On texts of your own, one a line (a tab separates the two of a pair).
  bertmobile-parity BUNDLE --reference ./my-bert --bisect
      Which layer loses?

\b
Exit codes: 0 passed, 1 failed to run, 2 usage, 3 below a threshold, 4 a package is missing.
"""


@click.command(name="bertmobile-parity", epilog=EXAMPLES)
@click.argument("bundle", type=click.Path())
@click.option("--reference", required=True, metavar="MODEL", help="Hub id or folder of the source model.")
@click.option("--revision", help="Branch, tag or commit of the reference on the hub.")
@click.option(
    "--texts",
    type=click.Path(),
    metavar="FILE",
    help="Texts to compare on, one a line; built-in ones by default.",
)
@click.option("--engine", help="Engine to run the bundle with; by default the target's own.")
@click.option("--allow-different", is_flag=True, help="Compare even if the reference has other weights.")
@click.option("--bisect", "with_layers", is_flag=True, help="Also show the fidelity layer by layer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.version_option(package_name="bertmobile")
@verbose_option
@click.pass_context
def command(
    context: click.Context,
    bundle: str,
    reference: str,
    revision: str | None,
    texts: str | None,
    engine: str | None,
    allow_different: bool,
    with_layers: bool,
    as_json: bool,
) -> None:
    """Compare a bundle, run as an app runs it, with its source model in float32."""
    # Imported here and below, not above: --help must answer at once.
    from pathlib import Path

    from bertmobile_export.cli.console import progress_bar, quiet_converters, stderr_console
    from bertmobile_export.parity.check import Check

    console = stderr_console()
    layers: list[LayerFidelity] = []
    with (
        progress_bar(console, visible=console.is_terminal) as progress,
        quiet_converters(context.obj.verbose),
    ):
        check = Check.open(Path(bundle), reference, revision=revision)
        if not check.same_weights and not allow_different:
            raise UsageError(
                f"{reference} has other weights than the source of {check.manifest.name} "
                f"({check.manifest.source.model}); give the model it was made from, or --allow-different"
            )
        compared = check.texts(Path(texts) if texts else None)
        report = check.compare(compared, engine=engine, progress=progress)
        if with_layers:
            layers = check.layers(compared, engine=engine, progress=progress)
    if as_json:
        document: dict[str, Any] = {**report.document, "same_weights": check.same_weights}
        if with_layers:
            document["layers"] = [vars(layer) for layer in layers]
        print_json(document)
    else:
        _show(report.document, layers)
    if not report.passed:
        raise ParityError(f"{check.manifest.name}: {'; '.join(report.failures)}")


def _show(report: dict[str, Any], layers: "list[LayerFidelity]") -> None:
    from rich.console import Console

    from bertmobile_export.cli.console import fidelity, print_table
    from bertmobile_export.cli.parity_table import print_parity

    console = Console()
    print_parity(console, report)
    if layers:
        largest = max(layers, key=lambda layer: layer.drop)
        console.print()
        print_table(
            console,
            ("output", "mean cosine", "worst cosine", "drop", ""),
            [
                (
                    layer.name,
                    fidelity(layer.cosine_mean),
                    fidelity(layer.cosine_min),
                    f"{layer.drop:.5f}",
                    "<- largest drop" if layer is largest else "",
                )
                for layer in layers
            ],
            title="Layer by layer, same recipe",
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run(command, argv, extra="export")
