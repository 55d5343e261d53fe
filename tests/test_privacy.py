"""Nothing talks to anyone, and nothing is written where nobody asked for it."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Exported, ExportedAll
from tests.exports import BIN, Offline, run_offline

CONNECT = """
import socket
for address in {addresses}:
    try:
        socket.create_connection(address, timeout=1)
    except OSError:
        pass
"""


def assert_alone(process: Offline) -> None:
    assert process.done.returncode == 0, process.done.stderr
    assert process.attempts == []
    assert process.unroutable in (0, None)
    # torch makes itself an empty folder for a compiler that is not used.
    assert [path for path in process.written if not path.startswith("tmp/torchinductor_")] == []
    assert [path for path in process.written if path.count("/") > 1] == []


def assert_runs_alone(bundle: Path, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    process = run_offline(
        [BIN / "bertmobile-run", bundle, "my [MASK] found the land", "--json"], folder / "run"
    )
    assert_alone(process)
    assert process.done.stderr == ""
    assert len(json.loads(process.done.stdout)["results"][0]["output"]) == 5
    assert {path: path.stat().st_mtime_ns for path in bundle.rglob("*")} == before


def test_the_watch_sees_connections_and_look_ups(tmp_path: Path) -> None:
    script = CONNECT.format(addresses='[("192.0.2.1", 80), ("example.org", 443)]')
    process = run_offline([sys.executable, "-c", script], tmp_path / "run")
    assert process.done.returncode == 0
    assert any("192.0.2.1" in line for line in process.attempts)
    assert any("example.org" in line for line in process.attempts)


def test_the_kernel_counts_what_python_does_not_announce(tmp_path: Path) -> None:
    # -S: no sitecustomize, so that nothing but the missing network stops it.
    script = CONNECT.format(addresses='[("192.0.2.1", 80)]')
    process = run_offline([sys.executable, "-S", "-c", script], tmp_path / "run")
    if process.unroutable is None:
        pytest.skip("no network namespace may be made here; connections are watched in Python alone")
    assert process.unroutable > 0 and process.attempts == []


def test_an_export_works_without_network_and_writes_only_its_bundle(export_json: Exported) -> None:
    assert_alone(export_json.process)
    assert [path.name for path in export_json.bundle.parent.iterdir()] == [export_json.bundle.name]


def test_an_export_for_all_targets_works_without_network_and_writes_only_its_bundles(
    export_all_json: ExportedAll,
) -> None:
    assert_alone(export_all_json.process)
    assert set(export_all_json.folder.iterdir()) == set(export_all_json.bundles.values())


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_a_bundle_of_any_target_runs_without_network_and_writes_nothing(
    export_all_json: ExportedAll, target: str, tmp_path: Path
) -> None:
    assert_runs_alone(export_all_json.bundles[target], tmp_path)
