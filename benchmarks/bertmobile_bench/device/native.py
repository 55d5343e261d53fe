"""The native runner on a device: our C program and a runtime library, pushed into the run's folder."""

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertmobile.bundle import verify_bundle
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile.tokenization import Tokenization
from bertmobile_bench.device.adb import Device
from bertmobile_bench.device.build import ENGINES, PROGRAM, read_versions
from bertmobile_bench.device.cases import Sample, read_cases, write_cases
from bertmobile_bench.device.folder import RunFolder
from bertmobile_bench.device.golden import compare, golden_inputs, read_golden
from bertmobile_bench.workers import Worker
from bertmobile_bench.workloads import TEXTS, random_inputs, sentences, text_inputs

NAME = "native"
GOLDEN = "golden"
# Longer than any cell takes: a device that nobody reaches any more ends the runner by itself.
_LONGEST_SECONDS = 3_600


@dataclass(frozen=True)
class _Installed:
    """A bundle on the device: its folder there, and what checks its answers."""

    path: str
    manifest: Manifest
    golden: Mapping[str, Any]


class NativeRunner:
    """The runner in a run's folder on a device.

    Args:
        device: where.
        folder: the run's.
        builds: what ``build-runner`` made: a folder for each ABI.
        abi: the device's.
        core_mask: cores to run on, hexadecimal; None leaves them to the system.

    Raises:
        DeviceError: the device cannot be used.
        UsageError: there is no build for its ABI.
    """

    def __init__(
        self, device: Device, folder: RunFolder, builds: Path, abi: str, core_mask: str | None
    ) -> None:
        device.require_shell_v2()
        self._device, self._folder, self._build, self._core_mask = device, folder, builds / abi, core_mask
        if not (self._build / PROGRAM).is_file():
            raise UsageError(
                f"{builds} has no runner for {abi}, which {device.name} needs; "
                f"make one with: bertmobile-bench build-runner --abi {abi}"
            )
        self._bundles: dict[str, _Installed] = {}
        self._pushed: set[Path] = set()
        self._push(self._build / PROGRAM, folder.path)
        device.shell(f"chmod 755 {folder.path}/{PROGRAM}")

    def install(self, name: str, folder: Path, manifest: Manifest) -> None:
        """Push a bundle's model, and the library that runs it.

        Raises:
            BundleError: the bundle is damaged.
            DeviceError: there is no room, or the device was lost.
            UsageError: nothing on such a device runs it.
        """
        verify_bundle(folder, manifest, allow_unverified=True)
        path = f"{self._folder.path}/{len(self._bundles)}"
        for library in self._libraries(manifest):
            self._push(library, self._folder.path)
        self._device.shell(f"mkdir {path}")
        self._push(folder / manifest.model_file, path)
        golden = read_golden(folder)
        self._bundles[name] = _Installed(path, manifest, golden)
        self._push_cases(path, GOLDEN, golden_inputs(dict(golden), manifest))

    def push_workload(self, name: str, folder: Path, workload: str) -> None:
        """Push the inputs of a workload of a bundle that is installed."""
        installed = self._bundles[name]
        manifest = installed.manifest
        if workload == TEXTS:
            tokenization = Tokenization.open(folder, manifest)
            inputs = [text_inputs(manifest, tokenization, text) for text in sentences()]
        else:
            inputs = [random_inputs(manifest, int(workload))]
        samples = [
            Sample(manifest.signatures[manifest.bucket(each["input_ids"].shape[1])], each) for each in inputs
        ]
        self._push_cases(installed.path, workload, samples)

    def start(self, name: str, threads: int, workload: str) -> Worker:
        """Start a process on the device that runs a bundle's workload, or its golden inputs."""
        installed = self._bundles[name]
        engine = ENGINES[installed.manifest.target]
        files = [f"{each}={installed.path}/{each}.cases" for each in (workload, GOLDEN)]
        arguments = [
            f"./{PROGRAM}",
            engine.name,
            f"./{engine.library}",
            f"{installed.path}/{installed.manifest.model_file}",
            str(threads),
            *files,
        ]
        mask = ["taskset", self._core_mask] if self._core_mask else []
        command = shlex.join(["timeout", str(_LONGEST_SECONDS), *mask, *arguments])
        script = f"cd {self._folder.path} && LD_LIBRARY_PATH=. exec {command}"
        return Worker(self._device.shell_command(script), who=f"{name} on {self._device.name}")

    def check(self, name: str, worker: Worker) -> dict[str, Any]:
        """Whether the golden answers come out, as the schema ``results`` has it."""
        installed = self._bundles[name]
        worker.answer(GOLDEN)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "answers")
            self._device.pull(f"{installed.path}/{GOLDEN}.cases.answers", path)
            return compare(dict(installed.golden), read_cases(path))

    def engine_bytes(self, name: str) -> int:
        """Of the library, as an app carries it for this ABI."""
        return (self._build / ENGINES[self._bundles[name].manifest.target].library).stat().st_size

    def engine_version(self, name: str) -> str | None:
        """Of the library, where its package told."""
        return read_versions(self._build).get(ENGINES[self._bundles[name].manifest.target].name)

    def _libraries(self, manifest: Manifest) -> list[Path]:
        if manifest.target not in ENGINES:
            raise UsageError(
                f"{manifest.name} is for {manifest.target}, which no runner on a device opens; "
                f"give bundles for {' or '.join(ENGINES)}"
            )
        library = self._build / ENGINES[manifest.target].library
        if not library.is_file():
            raise UsageError(
                f"{self._build} has no {library.name}, which runs {manifest.name}; "
                "give its package to bertmobile-bench build-runner with --runtime"
            )
        return [library, *(self._build.glob("libc++_shared.so"))]

    def _push(self, file: Path, folder: str) -> None:
        if file not in self._pushed:
            self._device.push([file], folder)
            self._pushed.add(file)

    def _push_cases(self, path: str, workload: str, samples: list[Sample]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{workload}.cases")
            write_cases(file, samples)
            self._device.push([file], path)
