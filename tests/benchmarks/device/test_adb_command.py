"""``bertmobile-bench adb`` with the real adb, the real runner and real engines on devices of this process."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertmobile.bundle import sha256_file
from bertmobile_bench import turns
from bertmobile_bench.cli import main
from bertmobile_bench.device import matrix
from bertmobile_bench.schemas import validate
from tests.benchmarks.device.adb_server import adb, free_port, serving, wait_for
from tests.benchmarks.device.conftest import ABI, Devices
from tests.benchmarks.device.ended_runs import WAYS_TO_END, end_a_run
from tests.benchmarks.device.fake_device import PHONE, SERVICES, FakeDevice, Faults
from tests.exports import Exports

QUICK = ("--runs", "3", "--seconds", "0", "--cool-seconds", "0")
ONE_CELL = (*QUICK, "--lengths", "32", "--no-texts")
TWO_CELLS = (*QUICK, "--lengths", "32,64", "--no-texts")
PHONE_OPTIONS = {"properties": PHONE, "services": SERVICES}
FIXED = "power set-fixed-performance-mode-enabled"
Run = Callable[..., int]


@pytest.fixture
def run(builds: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``bertmobile-bench adb`` with the runner; its exit code. Turns are as short as they can be."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.01)
    return lambda *arguments: main(["adb", "--runner", str(builds), *map(str, arguments)])


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def workloads(found: list[dict[str, Any]], device: FakeDevice) -> list[str]:
    return [each["results"][0]["workload"] for each in found if each["device"]["serial"] == device.serial]


def tampered(bundle: Path, folder: Path, name: str, change: Callable[[Any], None]) -> Path:
    """A copy of a bundle with another document, and a manifest that fits it."""
    copy = shutil.copytree(bundle, folder / bundle.name)
    document = json.loads((copy / name).read_text())
    change(document)
    (copy / name).write_text(json.dumps(document))
    if name != "manifest.json":
        manifest = json.loads((copy / "manifest.json").read_text())
        manifest["files"][name] = {"bytes": (copy / name).stat().st_size, "sha256": sha256_file(copy / name)}
        (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_both_engines_are_measured_on_a_phone_and_the_document_fits_its_schema(
    run: Run, devices: Devices, bundles: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    phone = devices(**PHONE_OPTIONS)
    # The mask names the first core, which any machine has.
    options = ("--vs", bundles["onnx"], "--threads", "2", "--core-mask", "1", "--json")
    assert run(bundles["tflite"], *options, *QUICK, "--lengths", "32") == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    cases = set()
    for document in found:
        validate(document, "results")
        assert document["device"]["name"] == "Acme Phone 9" and document["device"]["serial"] == phone.serial
        assert document["device"]["fixed_performance"] is True and not document["device"]["emulated"]
        assert document["device"]["battery_percent"] == 80 and document["device"]["screen_on"] is True
        assert [each["versus"] for each in document["comparisons"]] == [bundles["onnx"].name]
        for result in document["results"]:
            cases.add((result["engine"], result["threads"], result["workload"]))
            assert result["golden"]["failed"] == [] and result["golden"]["cases"] > 1
            assert result["engine_bytes"] > 1_000_000 and result["peak_bytes"] > 1_000_000
            assert result["load_seconds"] > 0 and result["runner"] == "native"
            assert result["core_mask"] == "1" and len(result["latency"]["seconds"]) >= 3
    engines = ("litert", "onnxruntime")
    assert cases == {(each, 2, length) for each in engines for length in ("32", "texts")}
    assert phone.commanded == [f"{FIXED} true", f"{FIXED} false"]
    assert phone.left == [] and phone.running == []


def test_readings_that_a_device_does_not_have_are_null(
    run: Run, devices: Devices, bundles: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    devices()
    assert run(bundles["tflite"], "--out", tmp_path / "out.jsonl", *ONE_CELL) == 0
    ((device,),) = [[each["device"]] for each in documents(tmp_path / "out.jsonl")]
    unknown = ("fingerprint", "battery_percent", "thermal_status", "screen_on", "fixed_performance")
    assert {device[name] for name in unknown} == {None} and device["os"] == "linux-glibc"
    assert "linux-glibc" in capfd.readouterr().out


def test_wrong_answers_end_with_3_and_say_which(
    run: Run, devices: Devices, bundles: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def other(golden: Any) -> None:
        outputs = golden["cases"][1]["outputs"]["logits"]
        outputs["engine"] = [value + 10 for value in outputs["engine"]]

    device = devices()
    copy = tampered(bundles["onnx"], tmp_path, "golden.json", other)
    assert run(copy, *ONE_CELL) == 3
    shown = capfd.readouterr()
    assert f"{copy.name} on {device.serial}: logits of case 2 is off by 10" in shown.err
    assert "wrong answer" in shown.out


def test_a_lost_device_loses_only_its_own_cells_and_resume_measures_these(
    run: Run, devices: Devices, bundles: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    good, lost = devices(**PHONE_OPTIONS), devices(**PHONE_OPTIONS, faults=Faults(drop_at="64=/"))
    assert run(bundles["tflite"], "--all-devices", "--out", out, *TWO_CELLS) == 1
    assert f"error: {lost.serial}: " in capfd.readouterr().err
    first = documents(out)
    assert workloads(first, good) == ["32", "64"] and workloads(first, lost) == ["32"]
    wait_for(lambda: not lost.left and not lost.running, "an empty device")
    assert lost.commanded[-1] == f"{FIXED} false"

    assert run(bundles["tflite"], "--serial", good.serial, "--out", out, *TWO_CELLS) == 2
    assert "exists; go on with --resume" in capfd.readouterr().err

    # As a run that was killed while it wrote: half of the last line.
    whole = out.read_bytes()
    missing = first[-1]["results"][0]["workload"]
    out.write_bytes(whole[:-100])
    asked = len(good.asked)
    assert run(bundles["tflite"], "--serial", good.serial, "--out", out, "--resume", *TWO_CELLS) == 0
    again = documents(out)
    assert again[:-1] == first[:-1] and workloads(again, good)[-1] == missing
    started = [name for name in good.asked[asked:] if "exec timeout" in name]
    assert started and all(f"{missing}=/" in name for name in started)

    asked = len(good.asked)
    assert run(bundles["tflite"], "--serial", good.serial, "--out", out, "--resume", *TWO_CELLS) == 0
    assert not any("exec timeout" in name for name in good.asked[asked:]) and documents(out) == again


def test_what_is_no_file_of_results_is_not_gone_on_with(
    run: Run, devices: Devices, bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    devices()
    out = tmp_path / "notes.jsonl"
    for content in (b"notes\n", b'{"results": []}\n', b"\xff\n"):
        out.write_bytes(content)
        assert run(bundles["tflite"], "--out", out, "--resume", *ONE_CELL) == 2
        assert "name another file" in capsys.readouterr().err and out.read_bytes() == content


def test_a_throttled_device_is_waited_for_and_what_stays_throttled_is_not_trusted(
    run: Run, devices: Devices, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "_COOL_STEP_SECONDS", 0.01)
    light, none = "Thermal Status: 1\n", "Thermal Status: 0\n"
    throttled = devices(properties=PHONE, services={**SERVICES, "thermalservice": light})
    cools = devices(properties=PHONE, services={**SERVICES, "thermalservice": [light] * 3 + [none]})
    out = tmp_path / "out.jsonl"
    assert run(bundles["tflite"], "--all-devices", "--out", out, *ONE_CELL, "--cool-seconds", "1") == 0
    doubts = {each["device"]["serial"]: each["results"][0]["doubts"] for each in documents(out)}
    assert "throttled: thermal status 1" in doubts[throttled.serial]
    assert not any("throttled" in doubt for doubt in doubts[cools.serial])
    # What is read: once to describe the device, while it cools, then before and after the measurement.
    readings = {each.serial: sum("say thermal" in name for name in each.asked) for each in (throttled, cools)}
    assert readings[cools.serial] == 1 + 3 + 2 < readings[throttled.serial]


REFUSED = {
    "a mask of no cores": (("--core-mask", "f;0"), 2, "not a hexadecimal mask"),
    "cores that it does not have": (("--core-mask", "100000000000"), 1, "taskset"),
    "no runner": (("--runner", "/nothing"), 2, "/nothing does not exist; make a runner with"),
    "two devices": (("--serial", "x", "--all-devices"), 2, "not both"),
    "two servers": (("--adb-server", "a:1", "--adb-server", "b:2"), 2, "--all-devices"),
    "another kind of file": (("--out", "results.json"), 2, "call it .jsonl"),
    "nothing to resume": (("--resume",), 2, "--out"),
    "an unknown device": (("--serial", "x"), 1, "no device x"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused_and_leaves_nothing(
    run: Run, devices: Devices, bundles: dict[str, Path], case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options, code, says = REFUSED[case]
    device = devices()
    assert run(bundles["tflite"], *ONE_CELL, *options) == code
    assert says in capsys.readouterr().err and device.left == []


def test_a_device_without_a_build_is_told_how_to_make_one(
    run: Run, devices: Devices, bundles: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    device = devices(properties={**PHONE, "ro.product.cpu.abi": "arm64-v8a"})
    assert run(bundles["tflite"], *ONE_CELL) == 2
    assert "bertmobile-bench build-runner --abi arm64-v8a" in capsys.readouterr().err
    assert device.left == []


def test_a_shell_of_the_first_protocol_is_refused_at_once(
    run: Run, devices: Devices, bundles: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    device = devices(faults=Faults(shell_v2=False))
    assert run(bundles["tflite"], *ONE_CELL) == 1
    assert "Android 7" in capsys.readouterr().err and device.left == []


def test_a_core_ml_bundle_is_refused(
    run: Run, devices: Devices, exports: Exports, capsys: pytest.CaptureFixture[str]
) -> None:
    devices()
    bundle = exports("token-classification", "float16", target="coreml").bundle
    assert run(bundle, *ONE_CELL) == 2
    assert "coreml, which no runner on a device opens" in capsys.readouterr().err


def test_an_engine_that_was_not_built_is_named(
    devices: Devices, builds: Path, bundles: dict[str, Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    devices()
    copy = shutil.copytree(builds / ABI, tmp_path / "a runner" / ABI)
    (copy / "libonnxruntime.so").unlink()
    assert main(["adb", str(bundles["onnx"]), "--runner", str(copy.parent), *ONE_CELL]) == 2
    assert "has no libonnxruntime.so" in capsys.readouterr().err


def test_a_bundle_of_any_name_is_measured_and_nothing_in_its_name_is_run(
    run: Run, devices: Devices, bundles: dict[str, Path], tmp_path: Path
) -> None:
    device = devices()
    bundle = shutil.copytree(bundles["tflite"], tmp_path / 'it\'s; "$(touch run)" & [red].tflite')
    out = tmp_path / "out.jsonl"
    assert run(bundle, "--out", out, *ONE_CELL) == 0
    assert documents(out)[0]["results"][0]["bundle"] == bundle.name
    assert device.left == [] and not list(tmp_path.rglob("run")) and not Path("run").exists()


def test_a_device_of_another_machine_needs_nothing_but_its_adb_server(
    run: Run, devices: Devices, bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    port = free_port()
    device = devices(faults=Faults(garbage="echo Welcome to the rack; echo really >&2; "))
    adb("disconnect", device.serial)
    with serving(tmp_path_factory.mktemp("rack"), f"tcp:{port}"):
        adb("-P", str(port), "connect", device.serial)
        assert run(bundles["onnx"], "--adb-server", f"127.0.0.1:{port}", "--json", *ONE_CELL) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["device"]["serial"] == f"127.0.0.1:{port}/{device.serial}"
    assert found["results"][0]["golden"]["failed"] == [] and device.left == []


def test_a_full_disk_and_a_damaged_library_end_the_run_and_leave_nothing(
    run: Run, devices: Devices, bundles: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for faults, says in (
        (Faults(full=True), "No space left on device"),
        (Faults(damages="libLiteRt.so"), "libLiteRt.so arrived damaged"),
    ):
        device = devices(faults=faults)
        assert run(bundles["tflite"], "--serial", device.serial, *ONE_CELL) == 1
        assert says in capsys.readouterr().err and device.left == []


@pytest.mark.parametrize("how", WAYS_TO_END[:2])
def test_a_run_that_is_ended_leaves_nothing_on_the_device(
    devices: Devices, builds: Path, bundles: dict[str, Path], how: str
) -> None:
    phone = devices(**PHONE_OPTIONS)
    end_a_run(phone, builds, bundles, how)
    assert phone.commanded == [f"{FIXED} true", f"{FIXED} false"]
