"""All cells of a benchmark on devices: a number of threads and a workload, for all bundles in turn."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertmobile.bundle import sha256_file
from bertmobile.errors import BertMobileError
from bertmobile.manifest import MANIFEST, Manifest
from bertmobile_bench.device import readings
from bertmobile_bench.device.adb import Device, DeviceError
from bertmobile_bench.device.folder import RunFolder
from bertmobile_bench.device.results_file import Key, ResultsFile
from bertmobile_bench.device.runners import Cell, Runner, Settings
from bertmobile_bench.device.trust import doubts, throttled
from bertmobile_bench.documents import document
from bertmobile_bench.measured import comparisons, result
from bertmobile_bench.turns import Progress
from bertmobile_bench.workloads import TEXTS, fitting_lengths

Bundles = Mapping[str, tuple[Path, Manifest]]
_COOL_STEP_SECONDS = 1.0
_FIXED = "cmd power set-fixed-performance-mode-enabled"


@dataclass(frozen=True)
class Kind:
    """A kind of runner, and how one is opened on a device, in a run's folder, given the device's ABI."""

    name: str
    open: Callable[[Device, RunFolder, str], Runner]


@dataclass(frozen=True)
class Lost:
    """A device whose remaining cells were not measured, and why."""

    device: str
    error: BertMobileError


def measure_all(
    devices: Sequence[Device],
    kind: Kind,
    bundles: Bundles,
    settings: Settings,
    results: ResultsFile,
    progress: Progress = lambda stage, done, total: None,
) -> list[Lost]:
    """Measure on all devices at once; one that is lost loses only its own cells.

    Args:
        devices: ready ones.
        kind: of runner.
        bundles: folders and manifests by name.
        settings: how.
        results: gets a document for each cell; cells that it has are passed over.
        progress: called now and then, from several threads.
    """

    stop = threading.Event()

    def told(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            raise DeviceError("interrupted")
        progress(stage, done, total)

    def run(device: Device) -> Lost | None:
        try:
            measure(device, kind, bundles, settings, results, told)
        except BertMobileError as failure:
            return Lost(device.name, failure)
        except Exception as failure:  # a mistake of ours must not lose what other devices have measured
            return Lost(device.name, BertMobileError(f"{type(failure).__name__}: {failure}"))
        return None

    with ThreadPoolExecutor(max(len(devices), 1)) as pool:
        try:
            return [lost for lost in pool.map(run, devices) if lost]
        except BaseException:  # Ctrl-C reaches this thread only
            stop.set()
            raise


def measure(
    device: Device,
    kind: Kind,
    bundles: Bundles,
    settings: Settings,
    results: ResultsFile,
    progress: Progress,
) -> None:
    """Measure the cells of one device, and add each to the results when it is done.

    Raises:
        DeviceError: it was lost.
        BertMobileError: a bundle cannot be run on it.
    """
    cells = list(_cells(bundles, settings))
    said = readings.ask(device)
    described = readings.describe(device, said)
    waiting = [cell for cell in cells if _key(described, kind, bundles, cell, settings) not in results.keys]
    if not waiting:
        return
    with ExitStack() as stack:
        folder = stack.enter_context(RunFolder(device))
        fixed = _fix_performance(device, folder) if described["os"] == "android" else None
        runner = kind.open(device, folder, readings.abi(said))
        for name in {name: None for cell in waiting for name in cell.bundles}:
            runner.install(name, *bundles[name])
        # The load is that before all cells: later ones would be charged with the cells before them.
        load = readings.changing(said)["load_average"]
        state = {**described, "fixed_performance": fixed, "load_average": load}
        for index, cell in enumerate(waiting):
            where = f"{device.name}: {cell.workload}, {cell.threads} threads, {index + 1} of {len(waiting)}"

            def told(stage: str, done: int, total: int, where: str = where) -> None:
                progress(f"{where}: {stage}", done, total)

            for _ in range(2):  # once more where the device got too hot
                _cool(device, settings.cool_seconds, told)
                found = _measure_cell(device, runner, bundles, cell, settings, state, told)
                if not throttled(found["device"]["after"]):
                    break
            results.add(found)


def _cells(bundles: Bundles, settings: Settings) -> Iterator[Cell]:
    fitting = {
        name: fitting_lengths(manifest, settings.lengths, texts=settings.texts)
        for name, (_, manifest) in bundles.items()
    }
    for threads in settings.threads:
        for length in settings.lengths:
            having = tuple(name for name, lengths in fitting.items() if length in lengths)
            if having:
                yield Cell(threads, str(length), having)
        if settings.texts:
            yield Cell(threads, TEXTS, tuple(bundles))


def _measure_cell(
    device: Device,
    runner: Runner,
    bundles: Bundles,
    cell: Cell,
    settings: Settings,
    described: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    before = readings.changing(readings.ask(device))
    measured = runner.measure(cell, settings, progress)
    state = {**before, **described, "after": readings.changing(readings.ask(device))}
    against = list(doubts(state))
    return document(
        state,
        {name: bundles[name] for name in cell.bundles},
        [result(each, runner=runner.name, core_mask=settings.core_mask, doubts=against) for each in measured],
        list(comparisons(measured, settings.versus)),
        runs=settings.runs,
        seconds=settings.seconds,
        versus=settings.versus,
    )


def _cool(device: Device, seconds: float, progress: Progress) -> None:
    """Wait until a device is not throttled any more, but not longer than so."""
    deadline = time.monotonic() + seconds
    while throttled(readings.changing(readings.ask(device))):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        progress("cooling down", round(seconds - left), round(seconds))
        time.sleep(min(_COOL_STEP_SECONDS, left))


def _fix_performance(device: Device, folder: RunFolder) -> bool | None:
    """Have Android hold clocks that it can keep up, for the time of the run; None where it cannot."""
    folder.at_close(f"{_FIXED} false")
    try:
        device.shell(f"{_FIXED} true")
    except DeviceError:
        return None
    return True


def _key(described: Mapping[str, Any], kind: Kind, bundles: Bundles, cell: Cell, settings: Settings) -> Key:
    """As :func:`~.results_file.key_of` makes it of the cell's document."""
    digests = frozenset((name, sha256_file(bundles[name][0] / MANIFEST)) for name in cell.bundles)
    how = settings.runs, settings.seconds, settings.versus
    device = described["serial"], described["fingerprint"]
    return (*device, kind.name, cell.threads, cell.workload, settings.core_mask, how, digests)
