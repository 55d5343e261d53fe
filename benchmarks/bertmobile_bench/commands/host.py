"""``bertmobile-bench host``."""

import click

from bertmobile.console import print_json, verbose_option
from bertmobile_bench.commands.amount import amount_options

EXAMPLES = """\b
Examples:
  bertmobile-bench host my-bert-fill-mask-int8.tflite
      One thread and two; 32, 64, 128 and 256 tokens, and sentences. Two minutes for each bundle.
  bertmobile-bench host artifacts/my-bert-*.onnx --vs artifacts/my-bert-fill-mask-float32.onnx
      How many times faster than float32? Round by round, with a 95 % interval.
  bertmobile-bench host BUNDLE --reference ./my-bert --threads 1 --lengths 128 --json > host.json
      Beside eager PyTorch; every latency is in the JSON.

\b
Exit codes: 0 done, 1 failed, 2 usage, 4 a package is missing.
"""


@click.command("host", epilog=EXAMPLES)
@click.argument("bundles", nargs=-1, required=True, type=click.Path())
@click.option(
    "--reference", type=click.Path(), metavar="MODEL", help="Folder of the source: run by PyTorch, too."
)
@amount_options(threads="1,2")
@click.option("--engine", help="Engine to run the bundles with; by default the target's own.")
@click.option(
    "--cache-dir", type=click.Path(), metavar="DIR", help="For the engines' caches; none by default."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, with all latencies.")
@verbose_option
def command(
    bundles: tuple[str, ...],
    vs: str | None,
    reference: str | None,
    threads: tuple[int, ...],
    lengths: tuple[int, ...],
    no_texts: bool,
    runs: int,
    seconds: float,
    engine: str | None,
    cache_dir: str | None,
    as_json: bool,
) -> None:
    """Measure size, load, latency and memory of bundles on this machine.

    Each model has a process of its own. Cases take turns of half a second, so that a drift of the machine
    meets all of them alike. Run it on an idle machine: a result that cannot be trusted says so.
    """
    # Imported here, not above: --help must answer at once.
    from pathlib import Path

    from bertmobile_bench.host.measure import Settings, measure
    from bertmobile_bench.tables import show
    from bertmobile_export.cli.console import progress_bar, stderr_console

    settings = Settings(
        threads=threads,
        lengths=lengths,
        texts=not no_texts,
        runs=runs,
        seconds=seconds,
        engine=engine,
        reference=reference,
        versus=Path(vs) if vs else None,
        cache_dir=Path(cache_dir) if cache_dir else None,
    )
    console = stderr_console()
    with progress_bar(console, visible=console.is_terminal) as progress:
        document = measure([Path(bundle) for bundle in bundles], settings, progress)
    if as_json:
        print_json(document)
    else:
        show(document)
