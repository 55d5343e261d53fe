"""``bertmobile-bench adb`` on Debian's real adbd."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bertmobile.engines import open_engine
from bertmobile.manifest import read_manifest
from bertmobile_bench.cli import main
from bertmobile_bench.device.adb import Device, DeviceError, Server, choose
from bertmobile_bench.device.cases import read_cases
from bertmobile_bench.device.folder import RunFolder
from bertmobile_bench.device.golden import golden_inputs, read_golden
from bertmobile_bench.device.native import NativeRunner
from bertmobile_bench.device.runners import Cell, Settings
from bertmobile_bench.schemas import validate
from tests.benchmarks.device.adb_server import adb
from tests.benchmarks.device.conftest import ABI
from tests.benchmarks.device.ended_runs import WAYS_TO_END, end_a_run
from tests.benchmarks.device.real_device import (
    SERIAL,
    SMALL,
    SMALL_BYTES,
    RealDevice,
    real_device,
    unpack_adbd,
)
from tests.exports import BIN, Exports

pytestmark = pytest.mark.slow

TEMPORARY = "/data/local/tmp"
QUICK = ("--runs", "3", "--seconds", "0", "--lengths", "32", "--no-texts")


@pytest.fixture(scope="module")
def real(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDevice]:
    with real_device(exports.once("adbd", unpack_adbd), tmp_path_factory.mktemp("real")) as device:
        yield device


def test_exit_codes_are_real(real: RealDevice) -> None:
    assert adb("shell", "exit 7").returncode == 7
    device = choose(Server(), None)
    assert device == Device(SERIAL)
    device.require_shell_v2()
    with pytest.raises(DeviceError, match="ended with 7: why"):
        device.shell("echo why >&2; exit 7")


def test_files_of_any_name_arrive_and_are_checked(real: RealDevice, tmp_path: Path) -> None:
    device = Device(SERIAL)
    names = ("a b.bin", 'it\'s; $(touch run) "`touch run`".bin', "ü\\.bin")
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes([number]) * 200_000)
    device.shell(f"mkdir {TEMPORARY}/files")
    try:
        device.push([tmp_path / name for name in names], f"{TEMPORARY}/files")
        assert {path.name for path in (real.temporary / "files").iterdir()} == set(names)
        for name in names:
            device.pull(f"{TEMPORARY}/files/{name}", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == (tmp_path / name).read_bytes()
    finally:
        device.shell(f"rm -r {TEMPORARY}/files")
    # A file that adbd takes without a word, and yet is not there: only its SHA-256 tells.
    (tmp_path / "null").write_bytes(b"nothing")
    with pytest.raises(DeviceError, match="null arrived damaged"):
        device.push([tmp_path / "null"], "/dev")


def test_a_full_disk_is_named(real: RealDevice, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(2 * SMALL_BYTES))
    with pytest.raises(DeviceError, match=r"did not take large: .*No space left on device"):
        Device(SERIAL).push([tmp_path / "large"], SMALL)


def test_both_engines_answer_as_on_this_machine(
    real: RealDevice, builds: Path, bundles: dict[str, Path], tmp_path: Path
) -> None:
    device = Device(SERIAL)
    with RunFolder(device) as folder:
        runner = NativeRunner(device, folder, ABI, builds, None)
        for place, bundle in enumerate(bundles.values()):
            manifest = read_manifest(bundle)
            runner.install(bundle.name, bundle, manifest)
            (measured,) = runner.measure(
                Cell(1, "32", (bundle.name,)), Settings(runs=3, seconds=0), lambda stage, done, total: None
            )
            assert measured.golden is not None and measured.golden["failed"] == []
            device.pull(f"{folder.path}/{place}/golden.cases.answers", tmp_path / "answers")
            engine = open_engine(bundle, manifest)
            cases = golden_inputs(read_golden(bundle), manifest)
            for case, answer in zip(cases, read_cases(tmp_path / "answers"), strict=True):
                for name, values in engine.run(case.tensors).items():
                    np.testing.assert_array_equal(answer.tensors[name], values)
            engine.close()
    assert real.left == [] and real.running == []


def test_the_command_measures_a_bundle_of_any_name(
    real: RealDevice, builds: Path, bundles: dict[str, Path], tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tflite = shutil.copytree(bundles["tflite"], tmp_path / 'it\'s; "$(touch run)".tflite')
    arguments = ["adb", tflite, bundles["onnx"], "--runner", builds, "--core-mask", "1", "--json", *QUICK]
    assert main([*map(str, arguments)]) == 0
    document = json.loads(capfd.readouterr().out)
    validate(document, "results")
    assert {each["bundle"] for each in document["results"]} == {tflite.name, bundles["onnx"].name}
    assert {each["engine"] for each in document["results"]} == {"litert", "onnxruntime"}
    assert all(each["golden"]["failed"] == [] for each in document["results"])
    assert document["device"]["os"] == "linux-glibc" and document["device"]["serial"] == SERIAL
    assert real.left == [] and real.running == []
    assert not list(tmp_path.rglob("run")) and not Path("run").exists()


def test_two_runs_at_once_do_not_disturb_each_other(
    real: RealDevice, builds: Path, bundles: dict[str, Path]
) -> None:
    runs = [
        subprocess.Popen(
            [BIN / "bertmobile-bench", "adb", bundle, "--runner", builds, "--json", *QUICK],
            stdout=subprocess.PIPE, text=True,
        )
        for bundle in bundles.values()
    ]  # fmt: skip
    for run, bundle in zip(runs, bundles.values(), strict=True):
        out, _ = run.communicate(timeout=100)
        assert run.returncode == 0
        (result,) = json.loads(out)["results"]
        assert result["bundle"] == bundle.name and result["golden"]["failed"] == []
    assert real.left == [] and real.running == []


@pytest.mark.parametrize("how", WAYS_TO_END)
def test_a_run_that_is_ended_leaves_nothing_on_the_device(
    real: RealDevice, builds: Path, bundles: dict[str, Path], how: str
) -> None:
    end_a_run(real, builds, bundles, how)
