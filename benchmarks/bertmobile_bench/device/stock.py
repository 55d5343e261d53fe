"""LiteRT's own ``benchmark_model`` on a device: its averages beside our latencies.

Options and output: https://github.com/google-ai-edge/LiteRT/blob/main/tflite/tools/benchmark/README.md
"""

import re
import shlex
import tempfile
from pathlib import Path

from bertmobile.bundle import verify_bundle
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile_bench.device.adb import Device, DeviceError
from bertmobile_bench.device.folder import RunFolder
from bertmobile_bench.device.runners import Cell, Installed, Settings, longest_seconds, workload_inputs
from bertmobile_bench.measured import Measured
from bertmobile_bench.turns import WARM_UP_RUNS, Progress
from bertmobile_bench.workloads import TEXTS

PROGRAM = "benchmark_model"
# Twice, for the warm-up first.
_COUNTS = re.compile(r"count=\d+ .*?\bavg=(?P<mean>[\d.e+]+)(?:.*?\bmedian=(?P<median>[\d.e+]+))?")
_TIMES = re.compile(r"Inference timings in us: Init: (?P<load>[\d.e+]+), First inference: [\d.e+]+")
_PEAK = re.compile(r"[Oo]verall peak memory footprint \(MB\) via periodic monitoring: (?P<peak>[\d.e+]+)")


class StockRunner:
    """The program in a run's folder; see :class:`~.runners.Runner`.

    Args:
        device: where.
        folder: the run's.
        program: ``benchmark_model`` for the device's ABI.
        core_mask: cores to run on, hexadecimal; None leaves them to the system.

    Raises:
        DeviceError: the device was lost, or has no room.
    """

    name = "benchmark_model"

    def __init__(self, device: Device, folder: RunFolder, program: Path, core_mask: str | None) -> None:
        self._device, self._folder, self._core_mask = device, folder, core_mask
        self._program = f"{folder.path}/{program.name}"
        self._bundles: dict[str, Installed] = {}
        device.push([program], folder.path)
        device.shell(f"chmod 755 {shlex.quote(self._program)}")

    def install(self, name: str, folder: Path, manifest: Manifest) -> None:
        """Push a bundle's model.

        Raises:
            BundleError: the bundle is damaged.
            DeviceError: there is no room, or the device was lost.
            UsageError: the program does not open such a model.
        """
        if manifest.target != "tflite":
            raise UsageError(f"{name} is for {manifest.target}; {PROGRAM} opens .tflite bundles only")
        verify_bundle(folder, manifest, allow_unverified=True)
        path = f"{self._folder.path}/{len(self._bundles)}"
        self._device.shell(f"mkdir {path}")
        self._device.push([folder / manifest.model_file], path)
        self._bundles[name] = Installed(folder, path, manifest)

    def measure(self, cell: Cell, settings: Settings, progress: Progress) -> list[Measured]:
        """Run the program for each bundle, one after the other: it cannot take turns.

        Raises:
            DeviceError: it failed, or printed something else than it used to.
            UsageError: the workload is texts, of which it can run one only.
        """
        if cell.workload == TEXTS:
            raise UsageError(f"{PROGRAM} runs one input only; give --no-texts")
        measured = []
        for index, name in enumerate(cell.bundles):
            progress(name, index, len(cell.bundles))
            measured.append(self._run(name, cell, settings))
        return measured

    def _run(self, name: str, cell: Cell, settings: Settings) -> Measured:
        installed = self._bundles[name]
        (sample,) = workload_inputs(installed, cell.workload)
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for tensor, values in sample.tensors.items():
                file = Path(folder, f"{tensor}.bin")
                file.write_bytes(values.tobytes())
                files.append(file)
            self._device.push(files, installed.path)
        shapes = [",".join(map(str, values.shape)) for values in sample.tensors.values()]
        from_files = [f"{tensor}:{installed.path}/{tensor}.bin" for tensor in sample.tensors]
        options = {
            "graph": f"{installed.path}/{installed.manifest.model_file}",
            "signature_to_run_for": sample.signature,
            "num_threads": cell.threads,
            "num_runs": settings.runs,
            "min_secs": settings.seconds,
            "max_secs": longest_seconds(cell, settings),
            "warmup_runs": WARM_UP_RUNS,
            "use_xnnpack": "true",
            "report_peak_memory_footprint": "true",
            "input_layer": ",".join(sample.tensors),
            "input_layer_shape": ":".join(shapes),
            "input_layer_value_files": ",".join(from_files),
        }
        mask = ["taskset", self._core_mask] if self._core_mask else []
        arguments = [*mask, self._program, *(f"--{key}={value}" for key, value in options.items())]
        # It logs to stderr on Linux, and to stdout and the system's log on Android.
        said = self._device.shell(shlex.join(arguments) + " 2>&1", seconds=longest_seconds(cell, settings))
        return parse(said, name, cell)


def parse(said: str, bundle: str, cell: Cell) -> Measured:
    """What ``benchmark_model`` printed.

    Raises:
        DeviceError: something else than it used to print.
    """
    counts, times, peak = list(_COUNTS.finditer(said)), _TIMES.search(said), _PEAK.search(said)
    if not counts or not times:
        last = (said.strip().splitlines() or ["nothing"])[-1]
        raise DeviceError(f"{PROGRAM} printed no timings; its last line: {last}")
    runs = counts[-1]
    return Measured(
        bundle,
        cell.threads,
        cell.workload,
        rounds=(),
        engine="litert",
        engine_version=None,
        load_seconds=float(times["load"]) / 1e6,
        peak_bytes=round(float(peak["peak"]) * 2**20) if peak else None,
        mean=float(runs["mean"]) / 1e6,
        median=float(runs["median"]) / 1e6 if runs["median"] else None,
    )
