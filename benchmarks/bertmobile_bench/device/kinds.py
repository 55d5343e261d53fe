"""The kinds of runners, and which one a command asks for."""

from pathlib import Path

from bertmobile.errors import UsageError
from bertmobile_bench.device.app import AppRunner
from bertmobile_bench.device.matrix import Kind
from bertmobile_bench.device.native import NativeRunner
from bertmobile_bench.device.stock import StockRunner


def choose_kind(
    builds: str | None, apk: str | None, benchmark_model: str | None, core_mask: str | None, *, texts: bool
) -> Kind:
    """The kind whose file is given.

    Args:
        builds: folder of ``build-runner``.
        apk: the demo app's benchmark build.
        benchmark_model: LiteRT's program.
        core_mask: cores to run on, hexadecimal.
        texts: whether sentences are a workload.

    Raises:
        UsageError: none of the files is given, or several; it does not exist; or it cannot do what is asked.
    """
    given = [each for each in (builds, apk, benchmark_model) if each is not None]
    if len(given) != 1:
        raise UsageError(
            "give one of --runner (what bertmobile-bench build-runner makes), --apk and --benchmark-model"
        )
    path = Path(given[0])
    if not path.exists():
        raise UsageError(f"{path} does not exist; make a runner with bertmobile-bench build-runner")
    if apk and core_mask:
        raise UsageError("Android chooses the cores of an app; leave --core-mask out with --apk")
    if benchmark_model and texts:
        raise UsageError("benchmark_model runs one input only; give --no-texts")
    if builds:
        return Kind(
            NativeRunner.name,
            lambda device, folder, abi: NativeRunner(device, folder, abi, path, core_mask),
        )
    if apk:
        return Kind(AppRunner.name, lambda device, folder, abi: AppRunner(device, folder, path))
    return Kind(StockRunner.name, lambda device, folder, abi: StockRunner(device, folder, path, core_mask))
