"""What is known of devices that run: a folder for each, which no crash leaves behind for long."""

import contextlib
import fcntl
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import psutil

_STOP_SECONDS = 10
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class EmulatedDevice:
    """A running emulated device.

    Attributes:
        serial: its name for adb, an address on loopback.
        pid: of qemu.
        memory_mib: memory of the device in MiB.
        cores: processors of the device.
        boot_seconds: from the start of qemu until adb had run a command.
        background: it outlives the process that started it.
    """

    serial: str
    pid: int
    memory_mib: int
    cores: int
    boot_seconds: float
    background: bool


class State:
    """The folder of a device. The process that starts it and ends it holds a lock, which dies with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.console = folder / "console.log"
        self.pid_file = folder / "pid"
        self._device_file = folder / "device.json"
        self._lock: TextIO | None = None

    @classmethod
    def create(cls, cache: Path) -> "State":
        """A new folder, held. To be called in :func:`locked`, or :func:`sweep` may take it away."""
        parent = _parent(cache)
        parent.mkdir(parents=True, exist_ok=True)
        state = cls(Path(tempfile.mkdtemp(dir=parent)))
        state.hold()
        return state

    def hold(self) -> bool:
        """Take the lock; False, if another process has it, or the folder is gone."""
        try:
            lock = (self._folder / "lock").open("w")
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def process(self) -> psutil.Process | None:
        """The qemu of this device. A process that merely has its number now is not taken for it."""
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(self.pid_file.read_text()))
            if str(self.pid_file) in process.cmdline():
                return process
        return None

    def write(self, device: EmulatedDevice) -> None:
        """Let others know that the device is ready."""
        self._device_file.write_text(json.dumps(asdict(device)), "utf-8")

    def written(self) -> EmulatedDevice | None:
        """The device as it was when it was ready; it may have ended since."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return EmulatedDevice(**json.loads(self._device_file.read_text("utf-8")))
        return None

    def device(self) -> EmulatedDevice | None:
        """The device, once it is ready and as long as it runs."""
        return self.written() if self.process() else None

    def remove(self) -> None:
        """End qemu, remove the folder and give the lock back."""
        if process := self.process():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
                _wait_for_end(process)
                process.kill()
                _wait_for_end(process)
        shutil.rmtree(self._folder, ignore_errors=True)
        self.release()


def states(cache: Path) -> list[State]:
    """The folders of all devices, running or not."""
    parent = _parent(cache)
    return [State(folder) for folder in sorted(parent.iterdir())] if parent.exists() else []


def sweep(cache: Path) -> list[str]:
    """Remove what killed processes have left: folders without a device, and devices whose owner is gone.

    Returns:
        The serials of the devices, which adb may still know.
    """
    removed = []
    for state in states(cache):
        if state.hold():
            running = state.device()
            if running and running.background:
                state.release()
            else:
                removed += [device.serial] if (device := state.written()) else []
                state.remove()
    return removed


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One process at a time makes the image, sweeps, and starts a device."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _wait_for_end(process: psutil.Process) -> None:
    """At most so many seconds.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        # A zombie has ended, too; in some containers nobody ever buries it.
        if process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.NoSuchProcess(process.pid)
        time.sleep(_POLL_SECONDS)


def _parent(cache: Path) -> Path:
    return cache / "devices"
