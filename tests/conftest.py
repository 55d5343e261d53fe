"""Real bundles for all tests; see :mod:`tests.exports`."""

import gc
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bertmobile_export.export import Result
from tests.exports import BIN, COARSE, Exports, Offline, run_offline


@pytest.fixture(scope="session", autouse=True)
def frozen_imports() -> Iterator[None]:
    """coremltools collects garbage at each conversion, and would walk through all that PyTorch is made of."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Bundles made in this process."""
    return Exports(tmp_path_factory.mktemp("exports"))


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
def export_all_json(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> ExportedAll:
    """``bertmobile-export --target all --int8 --json`` of the fill-mask checkpoint, without network."""
    folder = tmp_path_factory.mktemp("export-all")
    model = exports.checkpoint("fill-mask")
    process = run_offline(
        [BIN / "bertmobile-export", "--model", model, "--target", "all", "--int8", "--json",
         "--output", folder / "out"],
        folder,
    )  # fmt: skip
    assert process.done.returncode == 0, process.done.stderr
    return ExportedAll(folder / "out", json.loads(process.done.stdout), process)


@dataclass(frozen=True)
class Exported:
    """A bundle made by the installed command, and the process that made it."""

    bundle: Path
    process: Offline


def _command(exports: Exports, folder: Path, target: str, *arguments: str) -> Exported:
    model = exports.checkpoint("fill-mask")
    process = run_offline(
        [BIN / "bertmobile-export", "--model", model, "--target", target, "--int8",
         "--output", folder / "out", *arguments],
        folder,
    )  # fmt: skip
    return Exported(folder / "out" / f"{model.name}-fill-mask-int8.{target}", process)


@pytest.fixture(scope="session")
def export_json(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """``bertmobile-export --int8 --json`` of the fill-mask checkpoint, without network."""
    return _command(exports, tmp_path_factory.mktemp("export-json"), "onnx", "--json")


@pytest.fixture(scope="session")
def export_table(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The same without ``--json`` and for TFLite, in another place."""
    return _command(exports, tmp_path_factory.mktemp("export-table") / "elsewhere", "tflite")
