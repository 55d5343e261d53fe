"""How every command of the project ends: one clear line on stderr, and the exit code that scripts rely on."""

import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import click

from bertmobile.errors import BertMobileError, MissingDependencyError
from bertmobile.native_log import mute_native_logs_at_exit

_VERBOSE = "--verbose"
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it

# Read by run(), which sees errors after the command's own context is gone.
verbose_option = click.option(
    _VERBOSE, is_flag=True, expose_value=False, help="Show tracebacks, and the log of the libraries."
)


@dataclass(frozen=True)
class Invocation:
    """What a command may ask its click context about the run: ``context.obj``."""

    verbose: bool


def run(command: click.Command, argv: Sequence[str] | None = None, *, extra: str | None = None) -> int:
    """Run a click command and report its errors in one line.

    Args:
        command: the command; it may return its exit code.
        argv: arguments without the program's name, by default those of the process.
        extra: the optional dependencies that the whole command needs; a package that cannot be imported is
            then reported as a missing one of these.

    Returns:
        The exit code: 0 done; that of the :class:`BertMobileError`; 2 for click's usage errors; 130 when
        interrupted; 1 for anything else. (click itself exits with 1, and says nothing, when the reader of
        a pipe is gone.)
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = _VERBOSE in arguments
    if not verbose:
        mute_native_logs_at_exit()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = command.main(
                arguments, prog_name=command.name, standalone_mode=False, obj=Invocation(verbose)
            )
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except click.ClickException as failure:
        return _report(f"{failure.format_message()} (see {command.name} --help)", failure.exit_code)
    except BertMobileError as failure:
        if verbose:
            traceback.print_exc()
        return _report(str(failure), failure.exit_code)
    except Exception as failure:
        if verbose:
            traceback.print_exc()
        missing = _missing_package(failure)
        if extra and missing:
            absent = MissingDependencyError(missing, extra)
            return _report(str(absent), absent.exit_code)
        hint = "" if verbose else f"; run again with {_VERBOSE} for the traceback"
        return _report(f"{type(failure).__name__}: {failure}{hint}", 1)
    return code if isinstance(code, int) else 0


def numbers(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Callback of an option that takes positive numbers with commas between them.

    Raises:
        click.BadParameter: it is given something else.
    """
    if value is None:
        return None
    try:
        found = tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError as failure:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 32,64,128") from failure
    if min(found) < 1:
        raise click.BadParameter("its numbers must be positive")
    return found


def print_json(value: Any) -> None:
    """One line of JSON on stdout.

    Raises:
        ValueError: a NaN or an infinity, which JSON cannot express.
    """
    import json  # costs --help a quarter of its time

    click.echo(json.dumps(value, allow_nan=False))


def _missing_package(failure: Exception) -> str | None:
    """Name of the package whose absence is the failure; None for our own modules and for other failures."""
    package = (failure.name or "").partition(".")[0] if isinstance(failure, ModuleNotFoundError) else ""
    return package if package and not package.startswith("bertmobile") else None


def _report(message: str, code: int) -> int:
    click.echo(f"error: {_one_line(message)}", err=True)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(f"warning: {_one_line(str(message))}", err=True)


def _one_line(message: str) -> str:
    return " ".join(message.split())
