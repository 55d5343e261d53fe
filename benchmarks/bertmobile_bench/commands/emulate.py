"""``bertmobile-bench emulate``."""

import click

from bertmobile.console import print_json, verbose_option
from bertmobile_bench.emulator import CORES, MEMORY_MIB

EXAMPLES = """\b
Examples:
  bertmobile-bench emulate
      Boots a device and prints its serial, for: adb -s SERIAL shell
  bertmobile-bench emulate --memory 4096 --cores 4 --json
  bertmobile-bench emulate --list
  bertmobile-bench emulate --stop
      Ends all devices; --stop SERIAL one.

\b
Exit codes: 0 done, 1 failed, 2 usage, 4 a program is missing (qemu, adb, apt).
"""
_ALL = ""


@click.command("emulate", epilog=EXAMPLES)
@click.option(
    "--stop", "ended", is_flag=False, flag_value=_ALL, metavar="[SERIAL]",
    help="End a device, or all of them.",
)  # fmt: skip
@click.option("--list", "listed", is_flag=True, help="Show the devices that run.")
@click.option("--rebuild", is_flag=True, help="Make the image again, from Debian's newest packages.")
@click.option(
    "--memory", type=click.IntRange(min=512), default=MEMORY_MIB, show_default=True, metavar="MIB",
    help="Of the device; pushed files lie in it, too.",
)  # fmt: skip
@click.option("--cores", type=click.IntRange(1, 8), default=CORES, show_default=True, help="Of the device.")
@click.option(
    "--cache-dir", type=click.Path(), metavar="DIR",
    help="For the image and the state of devices; by default the user's cache.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@verbose_option
def command(
    ended: str | None,
    listed: bool,
    rebuild: bool,
    memory: int,
    cores: int,
    cache_dir: str | None,
    as_json: bool,
) -> None:
    """Boot an emulated arm64 Linux device for adb, and leave it running.

    It runs Debian's adbd on Debian's kernel in qemu, so that adb and programs for arm64 can be tried there.
    It is no Android, and its times say nothing about a phone's.
    """
    # Imported here, not above: --help must answer at once.
    from dataclasses import asdict
    from pathlib import Path

    from bertmobile_bench.emulator import machine

    cache = Path(cache_dir) if cache_dir else None
    if ended is not None:
        devices = machine.stop(ended or None, cache)
    elif listed:
        devices = machine.running(cache)
    else:
        devices = [
            machine.Emulator(
                memory_mib=memory, cores=cores, cache=cache, rebuild=rebuild, report=_report
            ).start()
        ]
    if as_json:
        print_json({"emulated": True, "devices": [asdict(device) for device in devices]})
    else:
        for device in devices:
            click.echo(device.serial)


def _report(line: str) -> None:
    click.echo(f"{line} ...", err=True)
