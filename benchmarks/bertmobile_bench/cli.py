"""``bertmobile-bench``: what a bundle costs, and what it takes."""

from collections.abc import Sequence
from importlib import import_module

import click

from bertmobile.console import run

# Name -> what --help says about it. The module of that name in bertmobile_bench.commands is imported when the
# command is called, so that --help does not wait for PyTorch.
COMMANDS = {
    "accuracy": "Score a bundle and its source model on labelled texts, or on plain ones.",
    "adb": "Measure bundles on Android devices and emulators, and check their answers there.",
    "build-runner": "Compile the program that runs bundles on a device.",
    "devices": "List what adb sees, and what is missing for a good measurement.",
    "emulate": "Boot an emulated arm64 Linux device that adb reaches.",
    "host": "Measure size, load, latency and memory of bundles on this machine.",
    "report": "Make a page and Markdown of measurements.",
}


class _Table(click.Group):
    """A group that knows its commands by name only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(
            f"bertmobile_bench.commands.{cmd_name.replace('-', '_')}"
        ).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


EPILOG = """\b
Examples:
  bertmobile-bench accuracy reviews-text-classification-int8.onnx --reference ./reviews --data test.tsv
      What did 8 bits cost?
  bertmobile-bench host artifacts/*.tflite artifacts/*.onnx
      How large, how fast, how much memory?
  bertmobile-bench adb artifacts/*.tflite artifacts/*.onnx --runner runner
      The same on the phone that is plugged in, its answers checked.
  bertmobile-bench emulate
      A device for adb, where there is none.
  bertmobile-bench report host.json --out report.html
      A page with tables and plots, of any number of devices.
  bertmobile-bench accuracy --help
      All options of a command.

\b
Exit codes: 0 done, 1 failed, 2 usage, 3 the tokens or a device's answers differ,
4 a package or a program is missing.
"""


@click.group(
    "bertmobile-bench", cls=_Table, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="bertmobile")
def command() -> None:
    """Measure bundles."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``bertmobile-bench``; returns the exit code."""
    # Not "bench" alone: what compares with PyTorch needs the exporter's packages as well.
    return run(command, argv, extra="all")
