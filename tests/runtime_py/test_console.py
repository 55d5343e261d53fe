import sys
import warnings

import click
import pytest

from bertmobile.console import run, verbose_option
from bertmobile.errors import (
    BertMobileError,
    BundleError,
    MissingDependencyError,
    ParityError,
    UsageError,
)


def command(failure):
    @click.command("tool")
    @click.option("--number", type=int)
    @verbose_option
    def tool(number):
        if failure is not None:
            raise failure

    return tool


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (BertMobileError("broken"), 1),
        (BundleError("broken"), 1),
        (UsageError("broken"), 2),
        (ParityError("broken"), 3),
        (MissingDependencyError("broken", "tflite"), 4),
        (click.UsageError("broken"), 2),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(capsys, failure, code):
    assert run(command(failure), []) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: broken") and err.count("\n") == 1


def test_success_is_0_and_a_returned_code_is_kept(capsys):
    assert run(command(None), []) == 0
    assert run(click.Command("tool", callback=lambda: 3), []) == 3
    assert run(command(None), ["--help"]) == 0
    assert "Usage: tool" in capsys.readouterr().out


def test_wrong_arguments_exit_2_and_point_to_help(capsys):
    assert run(command(None), ["--number", "x"]) == 2
    assert run(command(None), ["--nonsense"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") and line.endswith("(see tool --help)") for line in lines)
    assert len(lines) == 2


def test_an_unexpected_error_exits_1_in_one_line_with_the_remedy(capsys):
    assert run(command(ValueError("two\nlines")), []) == 1
    assert capsys.readouterr().err == (
        "error: ValueError: two lines; run again with --verbose for the traceback\n"
    )


@pytest.mark.parametrize("failure", [ValueError("broken"), BundleError("broken")])
def test_verbose_shows_the_traceback(capsys, failure):
    assert run(command(failure), ["--verbose"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("error: ") and "run again" not in err


def test_an_interrupt_exits_130(capsys):
    assert run(command(KeyboardInterrupt()), []) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_the_arguments_of_the_process_are_the_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tool", "--nonsense"])
    assert run(command(None)) == 2


def test_warnings_are_one_line_and_the_hook_is_put_back(capsys):
    before = warnings.showwarning
    run(click.Command("tool", callback=lambda: warnings.warn("some\nthing", UserWarning, stacklevel=1)), [])
    assert capsys.readouterr().err == "warning: some thing\n"
    assert warnings.showwarning is before
