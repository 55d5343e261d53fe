"""Real bundles for all tests; see :mod:`tests.exports`."""

import gc
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch

from bertmobile_export.export import Result
from tests.exports import BIN, COARSE, Exports, Offline, run_offline
from tests.processors import EMULATOR, OLDER, emulates, kind

# One of several processes that run tests side by side (``-n``): more threads than that only wait.
SEVERAL = "PYTEST_XDIST_WORKER" in os.environ
if SEVERAL:
    torch.set_num_threads(1)

# No test is about speed, and beside other work any example may be slow once.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

# What takes longest comes first, so that no process is left with it when the others are done.
LONGEST = (
    "test_apk.py",
    "test_shown_output.py",
    "test_mediapipe.py",
    "test_optimum.py",
    "test_export.py",
    "test_docs.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


# A line for whoever reads the run.
Announce = Callable[[str], None]
_ANNOUNCED = "announced"


@pytest.fixture
def announce(record_property: Callable[[str, object], None]) -> Announce:
    """Prints at the end of the run: what a process of several prints itself, nobody sees."""
    return lambda line: record_property(_ANNOUNCED, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, line in report.user_properties:
            if name == _ANNOUNCED and report.when == "call":
                terminalreporter.write_line(line)
    also = f"; {OLDER} emulated" if emulates() else f"; no other, since {EMULATOR} is missing"
    terminalreporter.write_line(f"processor: {kind()}{also}")


@pytest.fixture(scope="session", autouse=True)
def frozen_imports() -> Iterator[None]:
    """coremltools collects garbage at each conversion, and would walk through all that PyTorch is made of."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Bundles that all tests share, whichever process they run in."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if SEVERAL else base) / "exports"
    folder.mkdir(exist_ok=True)
    return Exports(folder)


@pytest.fixture(scope="session")
def coarse(exports: Exports) -> Result:
    """A bundle below its thresholds: two bits for a whole matrix lose too much."""
    return exports(
        "feature-extraction", str(exports.recipe_file(COARSE)), checkpoint={"num_hidden_layers": 2}
    )


@dataclass(frozen=True)
class ExportedAll:
    """Bundles for all targets, made by the installed command in one run, and the process that made them."""

    folder: Path
    document: dict[str, Any]
    process: Offline

    @property
    def bundles(self) -> dict[str, Path]:
        return {entry["target"]: Path(entry["bundle"]) for entry in self.document["bundles"]}


@pytest.fixture(scope="session")
def export_all_json(exports: Exports) -> ExportedAll:
    """``bertmobile-export --target all --int8 --json`` of the fill-mask checkpoint, without network."""
    model = exports.checkpoint("fill-mask")

    def make(folder: Path) -> ExportedAll:
        process = run_offline(
            [BIN / "bertmobile-export", "--model", model, "--target", "all", "--int8", "--json",
             "--output", folder / "out"],
            folder,
        )  # fmt: skip
        assert process.done.returncode == 0, process.done.stderr
        return ExportedAll(folder / "out", json.loads(process.done.stdout), process)

    return exports.once("export-all-json", make)


@dataclass(frozen=True)
class Exported:
    """A bundle made by the installed command, and the process that made it."""

    bundle: Path
    process: Offline


def _command(exports: Exports, key: str, target: str, *arguments: str) -> Exported:
    model = exports.checkpoint("fill-mask")

    def make(folder: Path) -> Exported:
        process = run_offline(
            [BIN / "bertmobile-export", "--model", model, "--target", target, "--int8",
             "--output", folder / "out", *arguments],
            folder,
        )  # fmt: skip
        return Exported(folder / "out" / f"{model.name}-fill-mask-int8.{target}", process)

    return exports.once(key, make)


@pytest.fixture(scope="session")
def export_json(exports: Exports) -> Exported:
    """``bertmobile-export --int8 --json`` of the fill-mask checkpoint, without network."""
    return _command(exports, "export-json", "onnx", "--json")


@pytest.fixture(scope="session")
def export_table(exports: Exports) -> Exported:
    """The same without ``--json`` and for TFLite, in another place."""
    return _command(exports, "export-table", "tflite")
