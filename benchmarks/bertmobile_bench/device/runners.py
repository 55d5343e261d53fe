"""What the runners of a device have in common: what they are told to measure, and how answers are checked."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bertmobile.manifest import Manifest
from bertmobile.tokenization import Tokenization
from bertmobile_bench.device.adb import Device
from bertmobile_bench.device.cases import Sample, read_cases, write_cases
from bertmobile_bench.device.golden import compare, read_golden
from bertmobile_bench.measured import Measured
from bertmobile_bench.settings import Amount
from bertmobile_bench.turns import Progress
from bertmobile_bench.workloads import TEXTS, random_inputs, sentences, text_inputs

COOL_SECONDS = 180.0


@dataclass(frozen=True)
class Settings(Amount):
    """How to measure on devices.

    Attributes:
        versus: name of the bundle that each other is compared with, or None.
        core_mask: cores to run on, hexadecimal; None leaves them to the system.
        cool_seconds: how long to wait for a device that is throttled.
    """

    versus: str | None = None
    core_mask: str | None = None
    cool_seconds: float = COOL_SECONDS


@dataclass(frozen=True)
class Cell:
    """A number of threads and a workload, for the bundles that have it."""

    threads: int
    workload: str
    bundles: tuple[str, ...]


@dataclass(frozen=True)
class Installed:
    """A bundle that was pushed: its folder here, the one on the device, and its manifest."""

    folder: Path
    path: str
    manifest: Manifest


def longest_seconds(cell: Cell, settings: Settings) -> int:
    """More than a cell takes: so long a runner that nobody reaches any more may live."""
    slowest_run = 10.0
    return 600 + 10 * round(len(cell.bundles) * max(settings.seconds, settings.runs * slowest_run))


class Runner(Protocol):
    """Runs bundles on a device.

    Attributes:
        name: as the schema ``results`` has it.
    """

    name: str

    def install(self, name: str, folder: Path, manifest: Manifest) -> None:
        """Bring a bundle to the device."""

    def measure(self, cell: Cell, settings: Settings, progress: Progress) -> list[Measured]:
        """Measure the bundles of a cell, which are installed."""


def workload_inputs(installed: Installed, workload: str) -> list[Sample]:
    """The inputs of a workload's runs, in the order in which they are run, again and again."""
    manifest = installed.manifest
    if workload == TEXTS:
        tokenization = Tokenization.open(installed.folder, manifest)
        inputs = [text_inputs(manifest, tokenization, text) for text in sentences()]
    else:
        inputs = [random_inputs(manifest, int(workload))]
    return [Sample(manifest.signatures[manifest.bucket(each["input_ids"].shape[1])], each) for each in inputs]


def push_cases(device: Device, path: str, name: str, samples: Sequence[Sample]) -> None:
    """Push inputs as ``NAME.cases`` into a folder of the device."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{name}.cases")
        write_cases(file, samples)
        device.push([file], path)


def check_answers(device: Device, installed: Installed, path: str) -> dict[str, Any]:
    """Compare a file of answers on the device with the bundle's golden ones; see :func:`~.golden.compare`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "answers")
        device.pull(path, file)
        return compare(read_golden(installed.folder), read_cases(file))
