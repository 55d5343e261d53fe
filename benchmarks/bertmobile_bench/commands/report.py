"""``bertmobile-bench report``."""

import click

from bertmobile.console import verbose_option

EXAMPLES = """\b
Examples:
  bertmobile-bench report host.json --out report.html
      host.json is what bertmobile-bench host --json wrote.
  bertmobile-bench report host.json phones/*.jsonl --out report.html --workload 128
      Several devices on one page, compared at 128 tokens.
  bertmobile-bench report host.json --markdown -
      Tables for a README, on stdout.

\b
Exit codes: 0 done, 1 failed, 2 usage, 4 a package is missing.
"""


@click.command("report", epilog=EXAMPLES)
@click.argument("results", nargs=-1, required=True, type=click.Path())
@click.option(
    "--out", type=click.Path(), metavar="FILE", help="Write the page, HTML that needs nothing else."
)
@click.option("--markdown", type=click.Path(), metavar="FILE", help="Write tables as Markdown; - for stdout.")
@click.option(
    "--workload", metavar="WORKLOAD",
    help="What the page compares devices and recipes by: a number of tokens, or texts; by default what most "
    "results have.",
)  # fmt: skip
@verbose_option
def command(results: tuple[str, ...], out: str | None, markdown: str | None, workload: str | None) -> None:
    """Make a page and Markdown of measurements.

    RESULTS are .json files of one document or .jsonl files of one in each line, of any number of devices.
    What was measured again is shown as it was measured last. The files that are written replace others.
    """
    if out is None and markdown is None:
        raise click.UsageError("give --out, --markdown or both")
    # Imported here, not above: --help must answer at once.
    from pathlib import Path

    from bertmobile_bench.report import markdown as tables
    from bertmobile_bench.report import page
    from bertmobile_bench.report.files import write_whole
    from bertmobile_bench.report.merge import merge
    from bertmobile_bench.report.results import read_results

    sources = [Path(result) for result in results]
    written = [Path(name) for name in (out, markdown) if name and name != "-"]
    if len({path.resolve() for path in written}) < len(written):
        raise click.UsageError("--out and --markdown name the same file")
    for path in written:
        if path.resolve() in {source.resolve() for source in sources}:
            raise click.UsageError(f"{path} is one of the results; write to another file")
    merged = merge(document for source in sources for document in read_results(source))
    # Both are made before either is written.
    html = page.render(merged, workload=workload) if out else ""
    text = tables.render(merged) if markdown else ""
    if out:
        write_whole(Path(out), html)
    if markdown == "-":
        click.echo(text, nl=False)
    elif markdown:
        write_whole(Path(markdown), text)
    counts = (
        f"devices: {len(merged.devices)}, results: {len(merged.cases)}, "
        f"of them measured again: {len(merged.replaced)}"
    )
    for path in written:
        click.echo(f"{path}: {counts}", err=markdown == "-")
