"""``bertmobile-bench adb --apk``: the host's side of docs/device-protocol.md."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from bertmobile_bench.cli import main
from bertmobile_bench.device import app
from bertmobile_bench.schemas import validate
from tests.benchmarks.device.conftest import Devices
from tests.benchmarks.device.fake_device import PHONE, SERVICES, TEMPORARY, FakeDevice

QUICK = ("--runs", "3", "--seconds", "0", "--lengths", "32", "--no-texts")
START = "{python} -m tests.benchmarks.device.stand_in_app {temporary} $8"


def phone_with_app(
    devices: Devices, monkeypatch: pytest.MonkeyPatch, start: str, *, running: bool
) -> FakeDevice:
    """A phone that runs ``start`` for ``am start -W -S -n ACTIVITY --es job FILE``."""
    monkeypatch.setattr(app, "APP_FILES", f"{TEMPORARY}/app-files")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    phone = devices(properties=PHONE, services=SERVICES)
    words = {"python": sys.executable, "temporary": shlex.quote(str(phone.temporary))}
    log = shlex.quote(str(phone.folder / "pm.log"))
    phone.program("pm", f'echo "$*" >> {log}')
    phone.program("am", f'[ "$1" = start ] || exit 0\n{start.format(**words)}')
    phone.program("pidof", "echo 7" if running else "exit 1")
    return phone


@pytest.fixture
def apk(tmp_path: Path) -> Path:
    path = tmp_path / "demo app.apk"
    path.write_bytes(b"PK")
    return path


def test_the_app_measures_itself_and_is_gone_afterwards(
    devices: Devices,
    bundles: dict[str, Path],
    apk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    phone = phone_with_app(devices, monkeypatch, START, running=True)
    arguments = ["adb", *map(str, bundles.values()), "--apk", str(apk), "--json", *QUICK]
    assert main([*arguments, "--vs", str(bundles["onnx"])]) == 0
    document = json.loads(capfd.readouterr().out)
    validate(document, "results")
    assert {result["bundle"] for result in document["results"]} == {each.name for each in bundles.values()}
    for result in document["results"]:
        assert result["runner"] == "app" and result["golden"]["failed"] == []
        assert len(result["latency"]["seconds"]) == 3 and result["engine_bytes"] == 2
        assert result["pss_bytes"] == 4 and result["thermal_status"] == 1
    assert document["comparisons"][0]["versus"] == bundles["onnx"].name
    installed, removed = (phone.folder / "pm.log").read_text().splitlines()[1:]
    assert installed.startswith("install -r -t") and installed.endswith("demo app.apk")
    assert removed == f"uninstall {app.PACKAGE}"
    assert phone.left == ["app-files"] and list((phone.temporary / "app-files").iterdir()) == []


def test_the_log_has_the_results_of_an_app_that_cannot_write_files(
    devices: Devices,
    bundles: dict[str, Path],
    apk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Like an app, it is not done when it has been started; the log keeps what earlier jobs wrote.
    phone = phone_with_app(
        devices, monkeypatch, f"({START} {{temporary}}/log) > {{temporary}}/said 2>&1 &", running=True
    )
    monkeypatch.setattr(app, "LOG_SECONDS", 0.5)
    log = shlex.quote(str(phone.temporary / "log"))
    phone.program("logcat", f'echo "$*" >> {log}.asked; cat {log}')
    arguments = ["adb", str(bundles["onnx"]), "--apk", str(apk), "--json", *QUICK]
    assert main([*arguments, "--lengths", "32,64"]) == 0
    documents = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (short,), (long,) = (document["results"] for document in documents)
    assert (short["workload"], long["workload"]) == ("32", "64")
    for result in (short, long):
        assert len(result["latency"]["seconds"]) == 3 and result["golden"] is None
    assert short["latency"]["seconds"] != long["latency"]["seconds"]
    # What this app has said since it was started, and no more.
    asked = phone.temporary.joinpath("log.asked").read_text().splitlines()
    since = re.compile(r"-d -v raw -T \d\d-\d\d \d\d:\d\d:\d\d\.000 -s bertmobile:I")
    assert asked and all(map(since.fullmatch, asked))


def test_the_log_is_left_alone_while_the_app_measures(
    devices: Devices,
    bundles: dict[str, Path],
    apk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    phone = phone_with_app(devices, monkeypatch, f"({START}) > {{temporary}}/said 2>&1 &", running=True)
    phone.program("logcat", f"touch {shlex.quote(str(phone.temporary))}/log-was-read")
    assert main(["adb", str(bundles["onnx"]), "--apk", str(apk), *QUICK]) == 0
    assert phone.left == ["app-files", "said"]


def test_a_part_of_a_result_in_the_log_is_none(
    devices: Devices,
    bundles: dict[str, Path],
    apk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    phone = phone_with_app(devices, monkeypatch, f"{START} {{temporary}}/log", running=False)
    phone.program("logcat", f"grep -v ' 2/' {shlex.quote(str(phone.temporary))}/log")
    assert main(["adb", str(bundles["onnx"]), "--apk", str(apk), *QUICK]) == 1
    assert "ended" in capfd.readouterr().err


WRITE = """
results={temporary}/app-files/$(basename "$(dirname "$8")")
mkdir -p "$results"
echo SAID > "$results/result.json"
"""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('{"schema_version": 1, "error": "no memory for the model"}', "no memory for the model"),
        ('{"schema_version": 1, "bundles": []}', "measured nothing of"),
        ('{"schema_version": 1}', "no proper result"),
        ("not JSON", "no proper result"),
    ],
)
def test_what_the_app_cannot_do_is_told(
    said: str,
    told: str,
    devices: Devices,
    bundles: dict[str, Path],
    apk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    start = WRITE.replace("SAID", shlex.quote(said).replace("{", "{{").replace("}", "}}"))
    phone_with_app(devices, monkeypatch, start, running=True)
    assert main(["adb", str(bundles["onnx"]), "--apk", str(apk), *QUICK]) == 1
    assert told in capfd.readouterr().err


def test_an_app_that_ends_without_a_result_is_told(
    devices: Devices,
    bundles: dict[str, Path],
    apk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    phone_with_app(devices, monkeypatch, "true", running=False)
    assert main(["adb", str(bundles["onnx"]), "--apk", str(apk), *QUICK]) == 1
    assert "ended" in capfd.readouterr().err


def test_a_device_without_android_runs_no_app(
    devices: Devices, bundles: dict[str, Path], apk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    devices()
    assert main(["adb", str(bundles["onnx"]), "--apk", str(apk), *QUICK]) == 2
    assert "no Android" in capfd.readouterr().err


def test_cores_cannot_be_chosen_for_an_app(
    apk: Path, bundles: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adb", str(bundles["onnx"]), "--apk", str(apk), "--core-mask", "f", *QUICK]) == 2
    assert "leave --core-mask out" in capsys.readouterr().err
