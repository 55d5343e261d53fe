"""Real bundles for all tests; see :mod:`tests.exports`."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from bertmobile_export.export import Result
from tests.exports import BIN, COARSE, Exports, Offline, run_offline


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
class Exported:
    """A bundle made by the installed command, and the process that made it."""

    bundle: Path
    process: Offline


def _command(exports: Exports, folder: Path, *arguments: str) -> Exported:
    model = exports.checkpoint("fill-mask")
    process = run_offline(
        [BIN / "bertmobile-export", "--model", model, "--target", "tflite", "--int8",
         "--output", folder / "out", *arguments],
        folder,
    )  # fmt: skip
    return Exported(folder / "out" / f"{model.name}-fill-mask-int8.tflite", process)


@pytest.fixture(scope="session")
def export_json(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """``bertmobile-export --int8 --json`` of the fill-mask checkpoint, without network."""
    return _command(exports, tmp_path_factory.mktemp("export-json"), "--json")


@pytest.fixture(scope="session")
def export_table(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The same without ``--json``, in another place."""
    return _command(exports, tmp_path_factory.mktemp("export-table") / "elsewhere")
