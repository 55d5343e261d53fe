"""``bertmobile-bench devices``."""

import click

from bertmobile.console import print_json, verbose_option

EXAMPLES = """\b
Examples:
  bertmobile-bench devices
  bertmobile-bench devices --adb-server rack-1:5037 --adb-server rack-2:5037

\b
Exit codes: 0 done, 1 failed, 2 usage, 4 adb is missing.
"""


@click.command("devices", epilog=EXAMPLES)
@click.option(
    "--adb-server", "servers", multiple=True, metavar="HOST:PORT", help="Besides this machine's own server."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@verbose_option
def command(servers: tuple[str, ...], as_json: bool) -> None:
    """List what adb sees, and what is missing for a good measurement."""
    from bertmobile_bench.device.listing import list_devices

    found = list(list_devices(servers))
    if as_json:
        print_json({"devices": found})
        return
    if not found:
        click.echo("adb sees no device; connect one with USB debugging switched on, or start an emulator")
    for row in found:
        known = [str(row[key]) for key in ("name", "cpu", "os", "abi") if row[key]]
        click.echo(f"{row['serial']}: {', '.join([row['state'], *known])}")
        for line in row["missing"] or ["nothing"]:
            click.echo(f"  missing: {line}")
