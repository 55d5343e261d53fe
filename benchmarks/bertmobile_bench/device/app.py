"""The demo app's benchmark build on an Android device; docs/device-protocol.md is the contract with it."""

import json
import re
import shlex
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertmobile.bundle import verify_bundle
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile_bench import schemas
from bertmobile_bench.device import readings
from bertmobile_bench.device.adb import Device, DeviceError
from bertmobile_bench.device.folder import RunFolder
from bertmobile_bench.device.golden import golden_inputs, read_golden
from bertmobile_bench.device.runners import (
    Cell,
    Installed,
    Settings,
    check_answers,
    push_cases,
    workload_inputs,
)
from bertmobile_bench.measured import Measured
from bertmobile_bench.turns import TURN_SECONDS, WARM_UP_RUNS, Progress

PACKAGE = "org.bertmobile.demo"
ACTIVITY = f"{PACKAGE}/.BenchmarkActivity"
# Where the app may write, and adb may read.
APP_FILES = f"/sdcard/Android/data/{PACKAGE}/files"
GOLDEN = "golden"
# An app that cannot write there logs its result under this tag, in lines of "RUN NUMBER/COUNT PART".
LOG_TAG = "bertmobile"
# Behind the name of a bundle's folder, which may hold nothing that its manifest does not list.
_INPUTS = "-inputs"
TARGETS = ("tflite", "onnx")
_POLL_SECONDS = 0.5
# The device searches its log for this, and measures meanwhile.
LOG_SECONDS = 10.0
# Opening the models, and all that is not a run.
_GRACE_SECONDS = 300.0
_SLOWEST_RUN_SECONDS = 10.0


class AppRunner:
    """The app, installed for the time of a run; see :class:`~.runners.Runner`.

    Args:
        device: where.
        folder: the run's.
        apk: the app.

    Raises:
        DeviceError: the device does not take the app.
        UsageError: the device runs no apps.
    """

    name = "app"

    def __init__(self, device: Device, folder: RunFolder, apk: Path) -> None:
        if not readings.ask(device).get("android"):
            raise UsageError(f"{device.name} has no Android, so it runs no apps; give --runner, not --apk")
        self._device, self._folder = device, folder
        self._bundles: dict[str, Installed] = {}
        self._cells = 0
        # The app is left as it was found: there, in this version now, or not there.
        had = "package:" in device.shell(f"pm path {PACKAGE} || true")
        device.push([apk], folder.path)
        device.shell(f"pm install -r -t {shlex.quote(f'{folder.path}/{apk.name}')}")
        if not had:
            folder.at_close(f"pm uninstall {PACKAGE}")
        device.shell(f"chmod 755 {folder.path}")

    def install(self, name: str, folder: Path, manifest: Manifest) -> None:
        """Push a bundle to where the app may read it.

        Raises:
            BundleError: the bundle is damaged.
            DeviceError: there is no room, or the device was lost.
            UsageError: it is not for Android.
        """
        if manifest.target not in TARGETS:
            raise UsageError(f"{name} is for {manifest.target}, not for Android; give {' or '.join(TARGETS)}")
        verify_bundle(folder, manifest, allow_unverified=True)
        path = f"{self._folder.path}/{len(self._bundles)}"
        self._device.shell(f"mkdir {path} {path}{_INPUTS}")
        self._device.push([folder / "manifest.json", *(folder / listed for listed in manifest.files)], path)
        self._bundles[name] = Installed(folder, path, manifest)
        push_cases(self._device, path + _INPUTS, GOLDEN, golden_inputs(read_golden(folder), manifest))

    def measure(self, cell: Cell, settings: Settings, progress: Progress) -> list[Measured]:
        """Have the app run the bundles in turn, and read what it writes.

        Raises:
            DeviceError: the app ended without a result, or says why it has none.
        """
        for name in cell.bundles:
            installed = self._bundles[name]
            samples = workload_inputs(installed, cell.workload)
            push_cases(self._device, installed.path + _INPUTS, cell.workload, samples)
        # Results of other cells may still be there, in the log they are.
        self._cells += 1
        run = f"{Path(self._folder.path).name}-{self._cells}"
        results = f"{APP_FILES}/{run}"
        started = self._start(cell, settings, run, results)
        seconds = max(settings.seconds, settings.runs * _SLOWEST_RUN_SECONDS) * len(cell.bundles)
        try:
            found = self._wait(run, results, started, seconds + _GRACE_SECONDS, progress)
            return [self._read(each, cell, results) for each in _of_cell(found, cell.bundles)]
        finally:
            self._device.shell(f"am force-stop {PACKAGE}; rm -rf {results}")

    def _start(self, cell: Cell, settings: Settings, run: str, results: str) -> str:
        """Have the app begin.

        Returns:
            The device's time before, as ``logcat`` takes it.
        """
        job = {
            "schema_version": 1,
            "threads": cell.threads,
            "workload": cell.workload,
            "runs": settings.runs,
            "seconds": settings.seconds,
            "turn_seconds": TURN_SECONDS,
            "warm_up_runs": WARM_UP_RUNS,
            "results": results,
            "bundles": [
                {
                    "name": name,
                    "path": self._bundles[name].path,
                    "inputs": f"{self._bundles[name].path}{_INPUTS}/{cell.workload}.cases",
                    "golden": f"{self._bundles[name].path}{_INPUTS}/{GOLDEN}.cases",
                }
                for name in cell.bundles
            ],
        }
        schemas.validate(job, "app-job")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "job.json")
            file.write_text(json.dumps(job), encoding="utf-8")
            self._device.shell(f"mkdir {self._folder.path}/{run}")
            self._device.push([file], f"{self._folder.path}/{run}")
        self._device.shell(f"chmod -R a+rX {self._folder.path}")
        started = self._device.shell("date '+%m-%d %H:%M:%S.000'").strip()
        self._device.shell(f"am start -W -S -n {ACTIVITY} --es job {self._folder.path}/{run}/job.json")
        return started

    def _wait(
        self, run: str, results: str, started: str, seconds: float, progress: Progress
    ) -> dict[str, Any]:
        """The app's result, when it is there, or whole in the log."""
        look = (
            f'echo "running=$(pidof {PACKAGE})"; echo result:; cat {results}/result.json 2> /dev/null || true'
        )
        search = f"logcat -d -v raw -T '{started}' -s {LOG_TAG}:I 2> /dev/null | grep -F '{run} ' || true"
        begin = searched = time.monotonic()
        while (passed := time.monotonic() - begin) < seconds:
            said, _, text = self._device.shell(look).partition("\nresult:\n")
            running = re.search(r"^running=\d", said, re.M)
            if not text.strip() and (not running or time.monotonic() - searched >= LOG_SECONDS):
                text = _logged(self._device.shell(search), run)
                searched = time.monotonic()
            if text.strip():
                return _checked(text, self._device)
            if not running:
                raise DeviceError(f"the app ended on {self._device.name} without a result; see adb logcat")
            progress("the app is running", round(passed), round(seconds))
            time.sleep(_POLL_SECONDS)
        raise DeviceError(f"the app gave no result on {self._device.name} within {seconds:.0f} s")

    def _read(self, each: dict[str, Any], cell: Cell, results: str) -> Measured:
        fields = {key: value for key, value in each.items() if key not in ("name", "answers")}
        installed = self._bundles[each["name"]]
        answers = each["answers"]
        golden = check_answers(self._device, installed, f"{results}/{answers}") if answers else None
        return Measured(each["name"], cell.threads, cell.workload, **fields, golden=golden)


def _logged(said: str, run: str) -> str:
    """The result in lines of a log; empty as long as one is missing."""
    lines = re.findall(rf"^{re.escape(run)} (\d+)/(\d+) (.*?)\r?$", said, re.M)
    parts = {int(number): part for number, _, part in lines}
    count = int(lines[0][1]) if lines else 0
    return "".join(parts[number] for number in sorted(parts)) if len(parts) == count else ""


def _checked(text: str, device: Device) -> dict[str, Any]:
    from fastjsonschema import JsonSchemaValueException

    try:
        found: dict[str, Any] = json.loads(text)
        schemas.validate(found, "app-result")
    except (ValueError, JsonSchemaValueException) as failure:
        raise DeviceError(f"the app on {device.name} wrote no proper result: {failure}") from failure
    if "error" in found:
        raise DeviceError(f"the app on {device.name} failed: {found['error']}")
    return found


def _of_cell(found: dict[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    by_name = {each["name"]: each for each in found["bundles"]}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DeviceError(f"the app measured nothing of {', '.join(missing)}; see adb logcat")
    chosen = [by_name[name] for name in names]
    if len({len(each["rounds"]) for each in chosen}) > 1:
        raise DeviceError("the app gave some bundles more turns than others, so they cannot be compared")
    return chosen
