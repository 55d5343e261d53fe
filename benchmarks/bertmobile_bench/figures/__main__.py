"""``python -m bertmobile_bench.figures``: measure on this machine and say which bounds hold.

Times are medians of interleaved runs and given as ratios; nothing else should run on the machine meanwhile.
"""

import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import click

from bertmobile_bench.figures.common import Bench, Figure, minilm_folder

# Module and function.
_MEASUREMENTS = {
    "tflite-export": ("tflite", "wall_and_peak"),
    "tflite-size": ("tflite", "size"),
    "tflite-memory": ("tflite", "memory_and_load"),
    "tflite-latency": ("tflite", "latency"),
    "onnx-export": ("onnx", "wall_and_peak"),
    "onnx-size": ("onnx", "size"),
    "onnx-latency": ("onnx", "latency"),
    "onnx-storage": ("processors", "storage"),
    "coreml-size": ("coreml", "size"),
    "evaluator": ("coreml", "evaluator"),
    "budget-export": ("budget", "export"),
    "budget-latency": ("budget", "latency"),
    "emulator": ("emulator", "start"),
    "host-overhead": ("host", "overhead"),
    "quality": ("quality", "quality"),
    "startup": ("startup", "help_time"),
}
_NEED_OPTIMUM = ("onnx-export", "onnx-latency")


def _measurement(name: str) -> Callable[[Bench], Iterator[Figure]]:
    module, function = _MEASUREMENTS[name]
    measure: Callable[[Bench], Iterator[Figure]] = getattr(
        import_module(f"bertmobile_bench.figures.{module}"), function
    )
    return measure


@click.command()
@click.option("--repetitions", default=3, show_default=True, help="How often the slowest commands are run.")
@click.option("--only", type=click.Choice(list(_MEASUREMENTS)), multiple=True, help="Measure only these.")
@click.option(
    "--optimum",
    type=click.Path(exists=True, path_type=Path),
    help="Environment with tests/clients/optimum-requirements.txt; without it Optimum is not compared with.",
)
def main(repetitions: int, only: tuple[str, ...], optimum: Path | None) -> None:
    """Measure the project's figures on this machine and say which bounds they keep."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), minilm_folder(), repetitions, optimum)
        for name in only or _MEASUREMENTS:
            if optimum is None and name in _NEED_OPTIMUM:
                click.echo(f"{name}: left out, since there is no --optimum", err=True)
                continue
            click.echo(f"{name} ...", err=True)
            figures += list(_measurement(name)(bench))
    click.echo("| figure | measured | must | aim | holds |\n|---|---|---|---|---|")
    for figure in figures:
        must, aim = ("" if bound is None else f"{bound:g}" for bound in (figure.must, figure.aim))
        measured = f"{figure.value:.5g} {figure.unit}".rstrip()
        click.echo(f"| {figure.what} | {measured} | {must} | {aim} | {figure.verdict} |")


if __name__ == "__main__":
    main()
