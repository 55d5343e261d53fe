"""All cells of a benchmark on devices: a number of threads and a workload, for all bundles in turn."""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertmobile.bundle import sha256_file
from bertmobile.errors import BertMobileError, UsageError
from bertmobile.manifest import MANIFEST, Manifest
from bertmobile_bench.device import readings
from bertmobile_bench.device.adb import Device, DeviceError
from bertmobile_bench.device.folder import RunFolder
from bertmobile_bench.device.native import NAME, NativeRunner
from bertmobile_bench.documents import document
from bertmobile_bench.latency import LEAST_RUNS, LEAST_SECONDS
from bertmobile_bench.turns import WARM_UP_RUNS, Case, Progress, comparisons, result, take_turns
from bertmobile_bench.workloads import LENGTHS, TEXTS, fitting_lengths

Bundles = Mapping[str, tuple[Path, Manifest]]
# Identifies a cell's document, so that --resume knows what is done.
Key = tuple[Any, ...]
# Android's thermal status from which on clocks are lower than they could be: 1, "light".
THROTTLED = 1
COOL_SECONDS = 180.0
_COOL_STEP_SECONDS = 5.0
LOW_BATTERY_PERCENT = 20
# Other work on a device without Android, in cores. Android's own load is above 1 when nothing is going on.
BUSY = 0.5
_FIXED = "cmd power set-fixed-performance-mode-enabled"


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        builds: folder of ``build-runner``.
        threads: each bundle is measured with each number of CPU threads.
        lengths: tokens of a run; those that a bundle does not have are passed over.
        texts: whether sentences are a workload, too.
        runs, seconds: of each case, at least.
        versus: name of the bundle that each other is compared with, or None.
        core_mask: cores to run on, hexadecimal; None leaves them to the system.
        cool_seconds: how long to wait for a device that is throttled.
    """

    builds: Path
    threads: tuple[int, ...] = (1,)
    lengths: tuple[int, ...] = LENGTHS
    texts: bool = True
    runs: int = LEAST_RUNS
    seconds: float = LEAST_SECONDS
    versus: str | None = None
    core_mask: str | None = None
    cool_seconds: float = COOL_SECONDS


@dataclass(frozen=True)
class Lost:
    """A device whose remaining cells were not measured, and why."""

    device: str
    error: BertMobileError


def measure_all(
    devices: Sequence[Device],
    bundles: Bundles,
    settings: Settings,
    results: "ResultsFile",
    progress: Progress = lambda stage, done, total: None,
) -> list[Lost]:
    """Measure on all devices at once; one that is lost loses only its own cells.

    Args:
        devices: ready ones.
        bundles: folders and manifests by name.
        settings: how.
        results: gets a document for each cell; cells that it has are passed over.
        progress: called now and then, from several threads.
    """

    def run(device: Device) -> Lost | None:
        try:
            measure(device, bundles, settings, results, progress)
        except BertMobileError as failure:
            return Lost(device.name, failure)
        return None

    with ThreadPoolExecutor(max(len(devices), 1)) as pool:
        return [lost for lost in pool.map(run, devices) if lost]


def measure(
    device: Device, bundles: Bundles, settings: Settings, results: "ResultsFile", progress: Progress
) -> None:
    """Measure the cells of one device, and add each to the results when it is done.

    Raises:
        DeviceError: it was lost.
        BertMobileError: a bundle cannot be run on it.
    """
    cells = list(_cells(bundles, settings))
    said = readings.ask(device)
    described = readings.describe(device, said)
    waiting = [cell for cell in cells if _key(described, bundles, cell, settings) not in results.keys]
    if not waiting:
        return
    with ExitStack() as stack:
        fixed = _fix_performance(device) if described["os"] == "android" else None
        folder = stack.enter_context(RunFolder(device, f"{_FIXED} false >/dev/null 2>&1" if fixed else ":"))
        runner = NativeRunner(device, folder, settings.builds, readings.abi(said), settings.core_mask)
        for name in {name: None for cell in waiting for name in cell.bundles}:
            runner.install(name, *bundles[name])
        state = {**described, "fixed_performance": fixed}
        for index, cell in enumerate(waiting):
            where = f"{device.name}: {cell.workload}, {cell.threads} threads, {index + 1} of {len(waiting)}"

            def told(stage: str, done: int, total: int, where: str = where) -> None:
                progress(f"{where}: {stage}", done, total)

            for _ in range(2):  # once more where the device got too hot
                _cool(device, settings.cool_seconds, told)
                found = _measure_cell(device, runner, bundles, cell, settings, state, told)
                if not _throttled(found["device"]["after"]):
                    break
            results.add(found)


@dataclass(frozen=True)
class _Cell:
    threads: int
    workload: str
    bundles: tuple[str, ...]


def _cells(bundles: Bundles, settings: Settings) -> Iterator[_Cell]:
    fitting = {
        name: fitting_lengths(manifest, settings.lengths, texts=settings.texts)
        for name, (_, manifest) in bundles.items()
    }
    for threads in settings.threads:
        for length in settings.lengths:
            having = tuple(name for name, lengths in fitting.items() if length in lengths)
            if having:
                yield _Cell(threads, str(length), having)
        if settings.texts:
            yield _Cell(threads, TEXTS, tuple(bundles))


def _measure_cell(
    device: Device,
    runner: NativeRunner,
    bundles: Bundles,
    cell: _Cell,
    settings: Settings,
    described: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    before = readings.changing(readings.ask(device))
    for name in cell.bundles:
        runner.push_workload(name, bundles[name][0], cell.workload)
    with ExitStack() as stack:
        cases = []
        for name in cell.bundles:
            worker = stack.enter_context(runner.start(name, cell.threads, cell.workload))
            cases.append(Case(worker, name, cell.threads, cell.workload))
        take_turns(cases, settings.runs, settings.seconds, progress)
    peaks, golden = {}, {}
    for name in cell.bundles:
        with runner.start(name, cell.threads, cell.workload) as worker:
            worker.run(cell.workload, WARM_UP_RUNS)
            peaks[name] = worker.peak_bytes()
            golden[name] = runner.check(name, worker)
    after = readings.changing(readings.ask(device))
    state = {**described, **before, "after": after}
    against = list(doubts(state))
    return document(
        state,
        {name: bundles[name] for name in cell.bundles},
        [
            result(
                case,
                runner=NAME,
                peak_bytes=peaks[case.bundle],
                engine_version=runner.engine_version(case.bundle),
                engine_bytes=runner.engine_bytes(case.bundle),
                core_mask=settings.core_mask,
                golden=golden[case.bundle],
                doubts=against,
            )
            for case in cases
        ],
        list(comparisons(cases, settings.versus)),
    )


def doubts(device: Mapping[str, Any]) -> Iterator[str]:
    """What a device's readings, as the schema ``results`` has them, say against its results."""
    if _throttled(device["after"]):
        yield f"throttled: thermal status {device['after']['thermal_status']}"
    battery = device["battery_percent"]
    if battery is not None and battery < LOW_BATTERY_PERCENT:
        yield f"the battery was at {battery} %: the system may save power"
    if device["screen_on"] is False:
        yield "the screen was off: the system may save power"
    load = device["load_average"]
    if device["os"] != "android" and load is not None and load > BUSY:
        yield f"other work: a load of {load:.1f}"


def _throttled(state: Mapping[str, Any]) -> bool:
    status = state["thermal_status"]
    return status is not None and status >= THROTTLED


def _cool(device: Device, seconds: float, progress: Progress) -> None:
    """Wait until a device is not throttled any more, but not longer than so."""
    deadline = time.monotonic() + seconds
    while _throttled(readings.changing(readings.ask(device))):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        progress("cooling down", round(seconds - left), round(seconds))
        time.sleep(min(_COOL_STEP_SECONDS, left))


def _fix_performance(device: Device) -> bool | None:
    """Have Android hold clocks that it can keep up; None where it cannot."""
    try:
        device.shell(f"{_FIXED} true")
    except DeviceError:
        return None
    return True


def _key(described: Mapping[str, Any], bundles: Bundles, cell: _Cell, settings: Settings) -> Key:
    digests = frozenset(sha256_file(bundles[name][0] / MANIFEST) for name in cell.bundles)
    device = described["serial"], described["fingerprint"]
    return (*device, NAME, cell.threads, cell.workload, settings.core_mask, digests)


def _key_of(found: Mapping[str, Any]) -> Key:
    """The same of a document."""
    first = found["results"][0]
    digests = frozenset(bundle["sha256"] for bundle in found["bundles"])
    device = found["device"]["serial"], found["device"]["fingerprint"]
    return (*device, first["runner"], first["threads"], first["workload"], first["core_mask"], digests)


class ResultsFile:
    """A document on each line of a file, added as soon as its cell is done; or in memory only.

    Args:
        path: of the file; None for none.
        resume: go on where it ends.

    Attributes:
        documents: all, those of an earlier run included.
        keys: of their cells.

    Raises:
        UsageError: there is such a file, and it is not to be resumed; or it holds something else.
    """

    def __init__(self, path: Path | None, *, resume: bool = False) -> None:
        self.documents: list[dict[str, Any]] = []
        self.keys: set[Key] = set()
        self._path, self._lock = path, threading.Lock()
        if path is None or not path.exists():
            return
        if not resume:
            raise UsageError(f"{path} exists; go on with --resume, or name another file")
        whole = _whole_lines(path)
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                found = json.loads(line)
                self.keys.add(_key_of(found))
            except (ValueError, LookupError, TypeError) as failure:
                raise UsageError(f"line {number} of {path} is not a result; name another file") from failure
            self.documents.append(found)
        # An interrupted run may have left half a line.
        with path.open("r+b") as file:
            file.truncate(len(whole.encode()))

    def add(self, found: dict[str, Any]) -> None:
        """Add a document; it is on the disk when this returns."""
        with self._lock:
            self.documents.append(found)
            self.keys.add(_key_of(found))
            if self._path:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found, allow_nan=False) + "\n")
                    file.flush()
                    os.fsync(file.fileno())


def _whole_lines(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8", errors="strict")
    except UnicodeDecodeError as failure:
        raise UsageError(f"{path} is not a file of results; name another file") from failure
    return text[: text.rfind("\n") + 1]
