"""The emulated device answers as this processor does, from the same files."""

from pathlib import Path

import pytest

from bertmobile_bench import arm64
from bertmobile_bench.device.build import PROGRAM
from bertmobile_bench.device.cases import Sample, read_cases, write_cases
from tests.benchmarks.device.adb_server import need
from tests.exporters.targets.onnx.extremes import FILES, SPREAD, apart, run, write_extreme
from tests.exporters.targets.onnx.models import LONGEST, some_inputs

from .test_device import TEMPORARY, adb, alone, serial  # noqa: F401  # fixtures

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("qemu-system-aarch64", "adb", "aarch64-linux-gnu-gcc")
    return arm64.runner(tmp_path_factory.mktemp("runner"))


@pytest.mark.parametrize("name", FILES)
def test_an_arm64_device_answers_as_this_processor(
    serial: str,  # noqa: F811
    runner: Path,
    name: str,
    tmp_path: Path,
) -> None:
    written = write_extreme(name, tmp_path)
    inputs = some_inputs(written.plan, [LONGEST], LONGEST)
    write_cases(tmp_path / "x.cases", [Sample("", inputs)])
    files = [runner / PROGRAM, runner / "libonnxruntime.so", written.path, tmp_path / "x.cases"]
    assert adb(serial, "push", *map(str, files), TEMPORARY).returncode == 0
    command = f"./{PROGRAM} onnxruntime ./libonnxruntime.so ./{written.path.name} 1 x=x.cases"
    done = adb(serial, "shell", f"cd {TEMPORARY} && chmod +x {PROGRAM} && {command}", stdin="answers x\n")
    assert done.returncode == 0, done.stderr
    assert adb(serial, "pull", f"{TEMPORARY}/x.cases.answers", str(tmp_path / "answers")).returncode == 0
    (answer,) = read_cases(tmp_path / "answers")
    assert apart(dict(answer.tensors), run(written.path, inputs)) < SPREAD
