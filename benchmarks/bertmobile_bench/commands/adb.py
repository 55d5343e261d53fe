"""``bertmobile-bench adb``."""

import click

from bertmobile.console import print_json, verbose_option
from bertmobile_bench.commands.amount import amount_options

EXAMPLES = """\b
Examples:
  bertmobile-bench adb my-bert-fill-mask-int8.tflite --runner runner
      On the one device that is connected; build-runner makes the folder "runner".
  bertmobile-bench adb artifacts/my-bert-* --runner runner --all-devices --out results.jsonl
      On all devices at once. After an interruption, the same with --resume goes on.
  bertmobile-bench adb BUNDLE --runner runner --emulated
      On an emulated arm64 Linux device; its times say nothing of a phone.
  bertmobile-bench adb BUNDLE --runner runner --all-devices --adb-server rack-1:5037
      And on those of another machine, which needs nothing but its adb server.

\b
Exit codes: 0 done, 1 failed (also where one of several devices was lost), 2 usage, 3 a device's answers
are wrong, 4 adb is missing.
"""


def _mask(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """One spelling for each mask, so that --resume knows it."""
    if value is None:
        return None
    try:
        number = int(value, 16)
    except ValueError as failure:
        raise click.BadParameter(f"{value!r} is not a hexadecimal mask of cores such as f0") from failure
    if number < 1:
        raise click.BadParameter("it has no core")
    return f"{number:x}"


@click.command("adb", epilog=EXAMPLES)
@click.argument("bundles", nargs=-1, required=True, type=click.Path())
@click.option("--runner", type=click.Path(), metavar="DIR", help="What build-runner made: our native runner.")
@click.option("--apk", type=click.Path(), metavar="FILE", help="Or the demo app's benchmark build.")
@click.option(
    "--benchmark-model", type=click.Path(), metavar="FILE", help="Or LiteRT's own program, for the device."
)
@click.option("--serial", help="Which device, where adb sees several.")
@click.option("--all-devices", is_flag=True, help="All that are ready, at the same time.")
@click.option("--emulated", is_flag=True, help="An emulated arm64 Linux device, booted for this and stopped.")
@click.option(
    "--adb-server", "servers", multiple=True, metavar="HOST:PORT",
    help="With --all-devices: besides this machine's own server. Else: instead of it.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(), metavar="FILE.jsonl", help="A line for each result, when it is known."
)
@click.option("--resume", is_flag=True, help="Leave out what --out has already.")
@amount_options(threads="1")
@click.option(
    "--core-mask", callback=_mask, metavar="HEX",
    help="Cores to run on, as taskset takes them: f0 is the last four of eight.",
)  # fmt: skip
@click.option(
    "--cool-seconds", type=click.FloatRange(min=0), default=180.0, show_default=True,
    help="How long to wait for a device that is throttled.",
)  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True, help="A JSON object a line on stdout: device, threads, workload."
)
@verbose_option
def command(
    bundles: tuple[str, ...],
    runner: str | None,
    apk: str | None,
    benchmark_model: str | None,
    serial: str | None,
    all_devices: bool,
    emulated: bool,
    servers: tuple[str, ...],
    out: str | None,
    resume: bool,
    vs: str | None,
    threads: tuple[int, ...],
    core_mask: str | None,
    lengths: tuple[int, ...],
    no_texts: bool,
    runs: int,
    seconds: float,
    cool_seconds: float,
    as_json: bool,
) -> int:
    """Measure bundles on devices, and compare their answers there with the bundle's golden ones."""
    from contextlib import ExitStack
    from pathlib import Path

    from bertmobile.errors import ParityError, UsageError
    from bertmobile.manifest import read_manifest
    from bertmobile_bench.device.adb import Device, choose_all
    from bertmobile_bench.device.kinds import choose_kind
    from bertmobile_bench.device.matrix import measure_all
    from bertmobile_bench.device.results_file import ResultsFile
    from bertmobile_bench.device.runners import Settings
    from bertmobile_bench.documents import by_name, merged
    from bertmobile_bench.emulator.machine import Emulator
    from bertmobile_bench.tables import show
    from bertmobile_export.cli.console import progress_bar, stderr_console

    if resume and not out:
        raise UsageError("--resume goes on where the file of --out ends; name it")
    if out and not out.endswith(".jsonl"):
        raise UsageError(f"{out} gets a line of JSON for each cell; call it .jsonl, as report reads it")
    versus = Path(vs) if vs else None
    folders = by_name([*map(Path, bundles), *([versus] if versus else [])])
    opened = {name: (folder, read_manifest(folder)) for name, folder in folders.items()}
    settings = Settings(
        threads=threads,
        lengths=lengths,
        texts=not no_texts,
        runs=runs,
        seconds=seconds,
        versus=versus.resolve().name if versus else None,
        core_mask=core_mask,
        cool_seconds=cool_seconds,
    )
    kind = choose_kind(runner, apk, benchmark_model, core_mask, texts=not no_texts)
    if emulated and (serial or all_devices or servers):
        raise UsageError("--emulated boots a device of its own; leave out what names others")
    results = ResultsFile(Path(out) if out else None, resume=resume)
    console = stderr_console()
    with ExitStack() as stack:
        if emulated:
            booted = stack.enter_context(Emulator(report=lambda line: click.echo(f"{line} ...", err=True)))
            devices = [Device(booted.serial, alias="emulated")]
        else:
            devices = choose_all(servers, serial, all_devices)
        progress = stack.enter_context(progress_bar(console, visible=console.is_terminal))
        lost = measure_all(devices, kind, opened, settings, results, progress)
    for document in results.documents if as_json else merged(results.documents):
        print_json(document) if as_json else show(document)
    for each in lost:
        click.echo(f"error: {each.device}: {str(each.error).removeprefix(f'{each.device}: ')}", err=True)
    wrong = [
        f"{result['bundle']} on {document['device']['serial']}: {line}"
        for document in results.documents
        for result in document["results"]
        for line in (result["golden"] or {"failed": []})["failed"]
    ]
    if wrong:
        raise ParityError(f"{len(wrong)} golden answers are out of tolerance, the first: {wrong[0]}")
    return max((each.error.exit_code for each in lost), default=0)
