"""The native runner on a device: our C program and a runtime library, pushed into the run's folder."""

import shlex
from contextlib import ExitStack
from pathlib import Path

from bertmobile.bundle import verify_bundle
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile_bench.device.adb import Device
from bertmobile_bench.device.build import ENGINES, PROGRAM, read_versions
from bertmobile_bench.device.folder import RunFolder
from bertmobile_bench.device.golden import golden_inputs, read_golden
from bertmobile_bench.device.runners import (
    Cell,
    Installed,
    Settings,
    check_answers,
    longest_seconds,
    push_cases,
    workload_inputs,
)
from bertmobile_bench.measured import Measured
from bertmobile_bench.turns import WARM_UP_RUNS, Case, Progress, take_turns
from bertmobile_bench.workers import Worker

GOLDEN = "golden"


class NativeRunner:
    """The runner in a run's folder on a device; see :class:`~.runners.Runner`.

    Args:
        device: where.
        folder: the run's.
        abi: the device's.
        builds: what ``build-runner`` made: a folder for each ABI.
        core_mask: cores to run on, hexadecimal; None leaves them to the system.

    Raises:
        DeviceError: the device cannot be used.
        UsageError: there is no build for its ABI.
    """

    name = "native"

    def __init__(
        self, device: Device, folder: RunFolder, abi: str, builds: Path, core_mask: str | None
    ) -> None:
        self._device, self._folder, self._build, self._core_mask = device, folder, builds / abi, core_mask
        if not (self._build / PROGRAM).is_file():
            raise UsageError(
                f"{builds} has no runner for {abi}, which {device.name} needs; "
                f"make one with: bertmobile-bench build-runner --abi {abi}"
            )
        self._bundles: dict[str, Installed] = {}
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
        for library in self._libraries(manifest):
            self._push(library, self._folder.path)
        path = f"{self._folder.path}/{len(self._bundles)}"
        self._device.shell(f"mkdir {path}")
        self._push(folder / manifest.model_file, path)
        self._bundles[name] = Installed(folder, path, manifest)
        push_cases(self._device, path, GOLDEN, golden_inputs(read_golden(folder), manifest))

    def measure(self, cell: Cell, settings: Settings, progress: Progress) -> list[Measured]:
        """Run the bundles in turn, then each in a fresh process: its memory, and its golden answers."""
        for name in cell.bundles:
            installed = self._bundles[name]
            push_cases(self._device, installed.path, cell.workload, workload_inputs(installed, cell.workload))
        with ExitStack() as stack:
            cases = []
            for name in cell.bundles:
                worker = stack.enter_context(self._start(name, cell, settings))
                cases.append(Case(worker, name, cell.threads, cell.workload))
            take_turns(cases, settings.runs, settings.seconds, progress)
        return [self._finish(case, cell, settings) for case in cases]

    def _finish(self, case: Case, cell: Cell, settings: Settings) -> Measured:
        installed = self._bundles[case.bundle]
        engine = ENGINES[installed.manifest.target]
        with self._start(case.bundle, cell, settings) as worker:
            worker.run(cell.workload, WARM_UP_RUNS)
            peak = worker.peak_bytes()
            worker.answer(GOLDEN)
        return Measured.of_case(
            case,
            peak,
            engine_version=case.worker.opened["engine_version"]
            or read_versions(self._build).get(engine.name),
            engine_bytes=(self._build / engine.library).stat().st_size,
            golden=check_answers(self._device, installed, f"{installed.path}/{GOLDEN}.cases.answers"),
        )

    def _start(self, name: str, cell: Cell, settings: Settings) -> Worker:
        """Start a process on the device that runs a bundle's workload, and its golden inputs."""
        installed = self._bundles[name]
        engine = ENGINES[installed.manifest.target]
        arguments = [
            f"./{PROGRAM}",
            engine.name,
            f"./{engine.library}",
            f"{installed.path}/{installed.manifest.model_file}",
            str(cell.threads),
            *(f"{each}={installed.path}/{each}.cases" for each in (cell.workload, GOLDEN)),
        ]
        mask = ["taskset", self._core_mask] if self._core_mask else []
        command = shlex.join(["timeout", str(longest_seconds(cell, settings)), *mask, *arguments])
        script = f"cd {self._folder.path} && LD_LIBRARY_PATH=. exec {command}"
        return Worker(self._device.shell_command(script), who=f"{name} on {self._device.name}")

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
