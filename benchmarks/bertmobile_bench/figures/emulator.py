"""How long the emulated device takes: to be made, and from the command to a shell over adb."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bertmobile_bench.figures.common import Bench, Figure
from bertmobile_bench.processes import run

BENCH = str(Path(sys.executable).with_name("bertmobile-bench"))


def start(bench: Bench) -> Iterator[Figure]:
    """The first start, which makes the image, and later ones."""
    cache = bench.folder / "emulator"
    seconds = []
    for _ in range(1 + bench.repetitions):
        seconds.append(run([BENCH, "emulate", "--cache-dir", str(cache)]).seconds)
        run([BENCH, "emulate", "--stop", "--cache-dir", str(cache)])
    shutil.rmtree(cache)
    yield Figure("emulated device: first start", seconds[0], 300, unit="s")
    yield Figure("emulated device: from command to adb, cached", median(seconds[1:]), 45, unit="s")
