"""Runs of ``bertmobile-bench adb`` in a process of their own that are ended from outside."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

from bertmobile_bench.device.build import PROGRAM
from tests.benchmarks.device.adb_server import wait_for
from tests.exports import BIN

WAYS_TO_END = ("kill -9", "Ctrl-C", "hangup")


class Inspected(Protocol):
    """A device that a test can look into.

    Attributes:
        running: ids of what runs on it.
        left: names in its folder for temporary files.
    """

    @property
    def running(self) -> list[int]: ...

    @property
    def left(self) -> list[str]: ...


def end_a_run(device: Inspected, builds: Path, bundles: Mapping[str, Path], how: str) -> None:
    """End a run while it measures; the device is as it was before, or the test fails."""
    process = subprocess.Popen(
        [BIN / "bertmobile-bench", "adb", *bundles.values(), "--runner", builds, "--seconds", "100"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_signals,
    )
    try:
        wait_for(lambda: _runners(device) == len(bundles), "all runners")
        assert len(device.left) == 1
        if how == "kill -9":
            process.kill()
        else:  # as a terminal does, to all of its processes
            os.killpg(process.pid, signal.SIGINT if how == "Ctrl-C" else signal.SIGHUP)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    wait_for(lambda: not device.left and not device.running, "an empty device")
    if how == "Ctrl-C":
        assert process.returncode == 130 and "Traceback" not in said


def _heed_signals() -> None:
    """What is started in the background, or by nohup, ignores them, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _runners(device: Inspected) -> int:
    count = 0
    for pid in device.running:
        with suppress(psutil.NoSuchProcess):
            count += psutil.Process(pid).name() == PROGRAM
    return count
