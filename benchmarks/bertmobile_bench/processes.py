"""Whole commands, timed from outside."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One finished process: wall seconds, peak resident bytes and what it printed."""

    seconds: float
    peak_bytes: int
    stdout: str


def run(arguments: Sequence[str]) -> Run:
    """Run a command to its end.

    Raises:
        RuntimeError: it ended with a code other than 0.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        redirect = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)]
        started = time.perf_counter()
        pid = os.posix_spawn(arguments[0], list(arguments), os.environ, file_actions=redirect)
        # wait4 gives the peak of this one process; resource.getrusage only that of all children so far.
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - started
        out.seek(0)
        err.seek(0)
        if code := os.waitstatus_to_exitcode(status):
            raise RuntimeError(f"{' '.join(arguments)} ended with {code}: {err.read()[-2000:].decode()}")
        return Run(seconds, usage.ru_maxrss * 1024, out.read().decode())


class Closing(ABC):
    """A context that ends by closing the object."""

    @abstractmethod
    def close(self) -> None:
        """Release what the object holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def killed_after(process: "subprocess.Popen[str]", seconds: float) -> Iterator[threading.Event]:
    """Kill a process that a block waits for longer than so many seconds; the event says whether it was."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def python(*arguments: str) -> Run:
    """Run this interpreter."""
    return run([sys.executable, *arguments])


def interleaved(cases: Mapping[str, Callable[[], T]], repetitions: int) -> dict[str, list[T]]:
    """Run all cases in turn, again and again, so that a drift of the machine meets all of them alike."""
    results: dict[str, list[T]] = {name: [] for name in cases}
    for _ in range(repetitions):
        for name, case in cases.items():
            results[name].append(case())
    return results


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios of neighbouring runs."""
    return median(a / b for a, b in zip(numerators, denominators, strict=True))
