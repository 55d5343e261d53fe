"""The app's logic, and its benchmark build as ``bertmobile-bench`` runs it: on a JVM, with real engines."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertmobile.errors import BertMobileError
from bertmobile_bench import latency, schemas
from bertmobile_bench.cli import main
from bertmobile_bench.device import app
from bertmobile_bench.device.cases import Sample, read_cases, write_cases
from tests.benchmarks.device.conftest import Devices, bundles, devices, server  # noqa: F401
from tests.benchmarks.device.fake_device import TEMPORARY, FakeDevice
from tests.benchmarks.device.test_app_runner import QUICK, phone_with_app
from tests.conftest import Announce
from tests.exports import Exports
from tests.mobile_demo_android.engines import Engines
from tests.mobile_demo_android.modules import APP_LOGIC, APP_ON_JVM, PROJECT
from tests.mobile_demo_android.test_engines import TEXTS

LOG = "log"


@pytest.fixture(scope="module")
def command(engines: Engines) -> Callable[..., list[str]]:
    """Runs a class of the app's tests."""

    def java(*arguments: str | Path) -> list[str]:
        return list(map(str, engines.workshop.command(APP_ON_JVM, *arguments, options=engines.options)))

    return java


@pytest.fixture
def phone(
    devices: Devices,  # noqa: F811
    command: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> FakeDevice:
    """A phone that starts the benchmark build."""
    start = shlex.join([*command("org.bertmobile.demo.JobKt"), TEMPORARY])
    phone = phone_with_app(
        devices, monkeypatch, f'{start} {{temporary}} "$8" {{temporary}}/{LOG}', running=True
    )
    phone.program("logcat", f"cat {shlex.quote(str(phone.temporary / LOG))}")
    return phone


@pytest.fixture
def apk(tmp_path: Path) -> Path:
    path = tmp_path / "app.apk"
    path.write_bytes(b"PK")
    return path


@pytest.mark.slow
def test_the_logic_of_the_app_compiles_without_android_and_passes_its_tests(
    engines: Engines, announce: Announce
) -> None:
    totals = engines.workshop.test(APP_ON_JVM, options=engines.options)
    announce(f":app: {totals}")
    assert totals.failed == 0, totals.said
    assert totals.passed > 90


def test_what_imports_android_is_a_small_part_of_the_app() -> None:
    # Whatever has a decision in it belongs into a file that is tested here.
    sources = [path for name in ("main", "benchmark") for path in (PROJECT / "app/src" / name).rglob("*.kt")]
    android = {path.name for path in sources if path not in APP_LOGIC.sources}
    views = {path.name for path in sources if path.parent.name == "ui"}
    assert android - views == {
        "AndroidPhone.kt", "AndroidProbes.kt", "AssetTree.kt", "BenchmarkActivity.kt", "DemoActivity.kt",
        "DocumentTree.kt",
    }  # fmt: skip


@pytest.mark.slow
def test_the_app_opens_a_bundle_of_every_task_and_its_check_passes(
    command: Callable[..., list[str]], exports: Exports, tmp_path: Path
) -> None:
    folders = [exports(task, target=target).bundle for target in ("tflite", "onnx") for task in TEXTS]
    java = command("org.bertmobile.demo.Opened", tmp_path, *folders)
    done = subprocess.run(java, check=False, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = [line.split(maxsplit=3) for line in done.stdout.splitlines()]
    assert [each[0] for each in said] == ["litert"] * len(TEXTS) + ["onnxruntime"] * len(TEXTS)
    assert all(int(cases) >= 8 and failures == "[]" for *_, cases, failures in said), done.stdout


@pytest.mark.slow
def test_the_command_takes_what_the_benchmark_build_measures(
    phone: FakeDevice,
    bundles: dict[str, Path],  # noqa: F811
    apk: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = ["adb", *map(str, bundles.values()), "--apk", str(apk), "--json", *QUICK]
    assert main([*arguments, "--vs", str(bundles["onnx"])]) == 0
    document = json.loads(capfd.readouterr().out)
    schemas.validate(document, "results")
    results = {result["engine"]: result for result in document["results"]}
    assert set(results) == {"litert", "onnxruntime"}
    for result in results.values():
        assert result["golden"]["cases"] >= 8 and result["golden"]["failed"] == []
        assert len(result["latency"]["seconds"]) >= 3 and result["load_seconds"] > 0
        assert result["peak_bytes"] > 10_000_000 and result["pss_bytes"] == 1_000_000
        assert result["thermal_status"] == 0 and result["engine_bytes"] == 2
    assert [each["cold_start_seconds"] for each in document["results"]] == [0.5, None]
    assert phone.left == ["app-files"]


@pytest.mark.slow
def test_the_command_takes_the_result_from_the_log_where_no_file_can_be_written(
    phone: FakeDevice,
    bundles: dict[str, Path],  # noqa: F811
    apk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(app, "LOG_SECONDS", 0.5)
    (phone.temporary / "app-files").write_text("no folder")
    assert main(["adb", str(bundles["tflite"]), "--apk", str(apk), "--json", *QUICK]) == 0
    (result,) = json.loads(capfd.readouterr().out)["results"]
    assert len(result["latency"]["seconds"]) >= 3 and result["golden"] is None


@pytest.mark.slow
def test_what_goes_wrong_is_an_error_of_the_result(
    command: Callable[..., list[str]],
    bundles: dict[str, Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    run = tmp_path / "run-1"
    run.mkdir()
    job = run / "job.json"
    inputs = run / "inputs.cases"
    inputs.write_bytes(b"BMC1")
    bundle = {"name": "a", "path": str(run), "inputs": str(inputs), "golden": str(inputs)}
    whole = {
        "schema_version": 1, "threads": 1, "workload": "32", "runs": 1, "seconds": 0, "turn_seconds": 0.5,
        "warm_up_runs": 0, "results": str(tmp_path / "app-files/run-1"), "bundles": [bundle],
    }  # fmt: skip
    schemas.validate(whole, "app-job")

    def error_of(document: Mapping[str, Any]) -> str:
        job.write_text(json.dumps(document))
        java = command("org.bertmobile.demo.JobKt", TEMPORARY, tmp_path, job, tmp_path / LOG)
        subprocess.run(java, check=True, timeout=60, capture_output=True)
        result = json.loads((tmp_path / "app-files/run-1/result.json").read_text())
        schemas.validate(result, "app-result")
        return str(result["error"])

    assert "is not a bundle" in error_of(whole)
    assert "schema version 2" in error_of({**whole, "schema_version": 2})
    other = {**bundle, "path": str(bundles["onnx"])}
    assert "inputs.cases is no file of tensors" in error_of({**whole, "bundles": [other]})


class Again:
    """A JVM that reads files of inputs and writes their numbers as outputs."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.inputs = folder / "inputs.cases"
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self) -> list[Sample] | str:
        """The outputs, or why the inputs were refused."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{self.inputs}\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().strip()
        return read_cases(Path(f"{self.inputs}.again")) if said == "written" else said

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def again(command: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Again]:
    made = Again(command("org.bertmobile.demo.Samples"), tmp_path_factory.mktemp("again"))
    yield made
    made.close()


def tensors() -> st.SearchStrategy[np.ndarray]:
    """Of whole numbers that float32 holds as they are."""
    shapes = st.lists(st.integers(0, 4), max_size=4)
    return st.builds(
        lambda shape, dtype, first: (np.arange(int(np.prod(shape))) * 7 + first).astype(dtype).reshape(shape),
        shapes, st.sampled_from(("int32", "int64")), st.integers(-(2**20), 2**20),
    )  # fmt: skip


def sample_lists() -> st.SearchStrategy[list[Sample]]:
    names = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
    return st.lists(st.builds(Sample, names, st.dictionaries(names, tensors(), max_size=4)), max_size=4)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=sample_lists())
def test_kotlin_reads_what_python_writes_and_python_what_kotlin_writes(
    again: Again, samples: list[Sample]
) -> None:
    write_cases(again.inputs, samples)
    found = again()
    assert isinstance(found, list), found
    assert [sample.signature for sample in found] == [sample.signature for sample in samples]
    for sample, expected in zip(found, samples, strict=True):
        assert list(sample.tensors) == list(expected.tensors)
        for name, values in expected.tensors.items():
            assert sample.tensors[name].dtype == np.float32 and sample.tensors[name].shape == values.shape
            assert (sample.tensors[name] == values).all()


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=sample_lists(), data=st.data())
def test_kotlin_refuses_what_python_refuses(again: Again, samples: list[Sample], data: st.DataObject) -> None:
    write_cases(again.inputs, samples)
    damaged = bytearray(again.inputs.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    again.inputs.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        read_cases(again.inputs)
    except BertMobileError:
        found = again()
        assert isinstance(found, str) and found.startswith("refused: inputs.cases "), found


def test_the_app_doubts_a_measurement_as_the_command_does() -> None:
    source = (PROJECT / "app/src/main/kotlin/org/bertmobile/demo/Measuring.kt").read_text("utf-8")

    def constant(pattern: str) -> float:
        found = re.search(pattern, source)
        assert found, pattern
        return float(found[1])

    assert constant(r"ENOUGH = .*\bruns = (\d+)") == latency.LEAST_RUNS
    assert constant(r"ENOUGH = .*seconds = ([\d.]+)") == latency.LEAST_SECONDS
    assert constant(r"WIDEST = ([\d.]+)") == latency.WIDEST
    assert constant(r"LARGEST_DRIFT = ([\d.]+)") == latency.LARGEST_DRIFT


def test_the_app_logs_under_the_tag_that_the_command_asks_for() -> None:
    source = PROJECT / "app/src/benchmark/kotlin/org/bertmobile/demo/BenchmarkActivity.kt"
    assert f'LOG_TAG = "{app.LOG_TAG}"' in source.read_text("utf-8")
