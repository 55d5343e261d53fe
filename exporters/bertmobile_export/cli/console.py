"""What the commands show a person: a progress bar, tables, and nothing of the converters' chatter."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bertmobile_export.model_file import Progress


def stderr_console() -> "Console":
    """A console on a copy of stderr, which shows even while the converters' stderr is held back."""
    from rich.console import Console

    return Console(file=os.fdopen(os.dup(2), "w", encoding="utf-8", buffering=1))


@contextlib.contextmanager
def quiet_converters(verbose: bool) -> Iterator[None]:
    """Hide log lines, warnings and progress bars of the conversion libraries unless ``verbose``."""
    if verbose:
        yield
        return
    from bertmobile.native_log import quiet_native_logs

    os.environ["TQDM_DISABLE"] = "1"  # litert-quantizer's progress bars
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), quiet_native_logs():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def progress_bar(console: "Console", *, visible: bool) -> Iterator["Progress"]:
    """A bar with the current stage; a callable for :func:`bertmobile_export.export.export`."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not visible) as bar:
        task = bar.add_task("Starting", total=None, count="")

        def update(stage: str, done: int, total: int) -> None:
            if total > 1:
                bar.update(task, description=stage, completed=done, total=total, count=f"{done}/{total}")
            else:  # one step cannot say how far it is: the bar pulses
                bar.update(task, description=stage, completed=0, total=None, count="")

        yield update


def print_table(
    console: "Console", header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None
) -> None:
    """A table whose first column is text and whose others are numbers, under a line of text."""
    from rich.table import Table
    from rich.text import Text

    if title:
        # Not the table's own title: that would be folded to the table's width.
        console.print(title, soft_wrap=True, highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # not strings, in which brackets mean something
    console.print(table)


def megabytes(count: int) -> str:
    """Bytes as decimal megabytes."""
    return f"{count / 1e6:.1f} MB"


def number(value: float | None) -> str:
    """Four significant digits; a dash for a number that means nothing here."""
    return "-" if value is None else f"{value:.4g}"


def fidelity(value: float | None) -> str:
    """A cosine or a share close to one, with the digits that tell it from one."""
    return "-" if value is None else f"{value:.5f}"
