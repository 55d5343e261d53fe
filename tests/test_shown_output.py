"""What README and docs show as output is what the packaged weights give.

Words as they are; cosines within what another CPU may change; times not at all.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .exports import Exports
from .test_docs import ROOT, Block, Command, blocks, commands, parse, run_apart

pytestmark = pytest.mark.slow

README = ROOT / "README.md"
ONE_TARGET, ALL_TARGETS = (
    command for command in commands(README) if command.argv[0] == "bertmobile-export" and not command.from_hub
)
BUNDLE = "artifacts/model-feature-extraction-int8.tflite"


@dataclass(frozen=True)
class Shown:
    """A folder in which a command of the README was run, and what it printed."""

    folder: Path
    output: str


def as_shown(exports: Exports, command: Command) -> Shown:
    """Run an export of the packaged weights as the README has it, once for all tests."""

    def make(folder: Path) -> Shown:
        (folder / ".venv").symlink_to(sys.prefix)
        done = run_wide(command, folder)
        assert (done.returncode, done.stderr) == (0, "")
        return Shown(folder, done.stdout)

    return exports.once(" ".join(command.argv), make)


def run_wide(command: Command, folder: Path) -> "subprocess.CompletedProcess[str]":
    return run_apart(command, folder, {**os.environ, "COLUMNS": "120"})


# First: it takes as long as many others together.
def test_an_export_for_all_targets_prints_what_the_readme_shows(exports: Exports) -> None:
    assert_like(as_shown(exports, ALL_TARGETS).output, shown_after(README, ALL_TARGETS))


def test_an_export_for_one_target_prints_what_the_readme_shows(exports: Exports) -> None:
    assert_like(as_shown(exports, ONE_TARGET).output, shown_after(README, ONE_TARGET))


def test_the_bundle_answers_in_python_what_the_readme_shows(exports: Exports) -> None:
    folder = as_shown(exports, ONE_TARGET).folder
    script = next(block.content for block in blocks(README) if block.language == "python")
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert_like(answer, next(block.content for block in after(README, script) if block.language == "text"))


def test_bisecting_the_bundle_prints_what_the_docs_show(exports: Exports) -> None:
    folder = as_shown(exports, ONE_TARGET).folder
    reference = ONE_TARGET.argv[ONE_TARGET.argv.index("--model") + 1]
    done = run_wide(Command(("bertmobile-parity", BUNDLE, "--reference", reference, "--bisect")), folder)
    assert done.returncode == 0, done.stderr
    block = next(b for b in blocks(ROOT / "docs/parity.md") if b.notes.get("printed by") == "minilm-bisect")
    assert_like(done.stdout[done.stdout.index("Layer by layer") :].replace("<- largest drop", ""),
                block.content.replace("<- largest drop", ""))  # fmt: skip


def after(page: Path, content: str) -> list[Block]:
    """The blocks behind the one with this content."""
    found = blocks(page)
    return found[next(i for i, block in enumerate(found) if content in block.content) + 1 :]


def shown_after(page: Path, command: Command) -> str:
    """The output that a page shows behind a command."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.content.splitlines()]
    line = next(line for line in lines if line.strip() and parse(line) == command)
    return next(block.content for block in after(page, line) if block.language == "text")


def assert_like(actual: str, shown: str) -> None:
    number = r"-?\d+\.\d+(?:e-\d+)?"
    plain = [re.sub(rf"{number}|\b\d+ MB", "#", text).split() for text in (actual, shown)]
    assert plain[0] == plain[1]
    # Cosines have five decimals here; seconds and differences have other forms.
    cosines = [[float(n) for n in re.findall(r"(?<![\d.])0\.9\d{4}\b", text)] for text in (actual, shown)]
    assert cosines[0] == pytest.approx(cosines[1], abs=2e-3)
