"""Start and stop emulated devices."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import psutil

from bertmobile.errors import BertMobileError, UsageError
from bertmobile_bench.emulator import CORES, MEMORY_MIB, adb, image
from bertmobile_bench.emulator.state import EmulatedDevice, State, locked, states, sweep
from bertmobile_bench.emulator.tools import require

_QEMU = "qemu-system-aarch64"
# Far more than a busy machine takes: who waits longer shall hear that it failed.
_BOOT_SECONDS = 180
_POLL_SECONDS = 0.1
# What rootfs/etc/announce says.
_READY = "adbd listens"


class Emulator:
    """An emulated device for as long as its context lasts::

        with Emulator() as device:
            subprocess.run(["adb", "-s", device.serial, "shell", "uname -m"])

    It ends with the context, whatever happens there. If this process is killed, the next start of any device
    ends it, or :func:`stop`. The adb server is the one that the environment names; it is started if need be,
    and stays.

    Args:
        memory_mib: memory of the device in MiB; files that are pushed lie in it, too.
        cores: processors of the device.
        cache: folder for the image and the state of devices, by default :func:`default_cache`.
        rebuild: make the image again, from the newest packages.
        report: is told in a line what takes long.
    """

    def __init__(
        self,
        *,
        memory_mib: int = MEMORY_MIB,
        cores: int = CORES,
        cache: Path | None = None,
        rebuild: bool = False,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._memory_mib = memory_mib
        self._cores = cores
        self._cache = (cache or default_cache()).resolve()
        self._rebuild = rebuild
        self._report = report
        self._end = ExitStack()

    def start(self) -> EmulatedDevice:
        """Boot a device that outlives this process; :func:`stop` ends it.

        Raises:
            MissingToolError: qemu or adb is missing, or what the image is made with.
            BertMobileError: the image cannot be made, or the device does not start.
        """
        device, _ = self._boot(background=True)
        return device

    def __enter__(self) -> EmulatedDevice:
        """Boot a device that ends with the context. Raises what :meth:`start` does."""
        device, self._end = self._boot(background=False)
        return device

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()

    def _boot(self, *, background: bool) -> tuple[EmulatedDevice, ExitStack]:
        """The device, and what ends it."""
        require(_QEMU, "adb")
        with ExitStack() as end:
            with locked(self._cache):
                found = self._image()
                _sweep(self._cache)
                state = State.create(self._cache)
                end.callback(state.remove)
                started = time.monotonic()
                process = _run(qemu_command(found, state, self._memory_mib, self._cores), state)
            serial = f"127.0.0.1:{_port(process)}"
            _wait_for_adbd(state)
            end.callback(adb.disconnect, serial)
            adb.connect(serial, _BOOT_SECONDS)
            seconds = round(time.monotonic() - started, 2)
            device = EmulatedDevice(serial, process.pid, self._memory_mib, self._cores, seconds, background)
            state.write(device)
            if background:
                state.release()
            return device, end.pop_all()

    def _image(self) -> image.Image:
        found = None if self._rebuild else image.cached(self._cache)
        if found is None:
            self._report("making the image of the emulated device from Debian's packages (30 MB)")
            found = image.build(self._cache)
        return found


def default_cache() -> Path:
    """Where the image and the state of running devices are kept unless told otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bertmobile" / "emulator"


def running(cache: Path | None = None) -> list[EmulatedDevice]:
    """All devices that are ready, whoever has started them."""
    found = states((cache or default_cache()).resolve())
    return [device for state in found if (device := state.device())]


def stop(serial: str | None = None, cache: Path | None = None) -> list[EmulatedDevice]:
    """End the device of that name, or all that run in the background and what killed processes have left.

    Returns:
        Those in the background, or the one.

    Raises:
        UsageError: there is no device of that name.
    """
    cache = (cache or default_cache()).resolve()
    if serial is None:
        with locked(cache):
            _sweep(cache)
    ended = []
    for state in states(cache):
        device = state.device()
        if device and (device.background if serial is None else device.serial == serial):
            adb.disconnect(device.serial)
            state.remove()
            ended.append(device)
    if serial and not ended:
        raise UsageError(f"no emulated device {serial} runs; see: bertmobile-bench emulate --list")
    return ended


def qemu_command(found: image.Image, state: State, memory_mib: int, cores: int) -> list[str]:
    """The command that starts qemu, which returns when the device begins to boot."""
    # "restrict": the device reaches nothing, neither this machine nor others. Port 0: any free one.
    network = "user,id=network,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:5555"
    return [
        _QEMU,
        "-daemonize",
        "-pidfile", str(state.pid_file),
        "-machine", "virt",
        # A phone's core of 2018, with what int8 engines use (dotprod). "max" is eight times slower.
        "-cpu", "cortex-a76",
        "-smp", str(cores),
        "-m", str(memory_mib),
        "-kernel", str(found.kernel),
        "-initrd", str(found.initramfs),
        # A kernel that panics restarts at once, and qemu ends instead.
        "-append", "console=ttyAMA0 quiet panic=-1",
        "-no-reboot",
        "-nodefaults",
        "-display", "none",
        "-serial", f"file:{state.console}",
        "-netdev", network,
        "-device", "virtio-net-device,netdev=network",
    ]  # fmt: skip


def _run(command: list[str], state: State) -> psutil.Process:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    process = state.process()
    if done.returncode or process is None:
        raise BertMobileError(f"qemu does not start the emulated device: {done.stderr.strip() or 'it ended'}")
    return process


def _port(process: psutil.Process) -> int:
    """The port on loopback that leads to adbd."""
    (port,) = {
        each.laddr.port for each in process.net_connections("tcp4") if each.status == psutil.CONN_LISTEN
    }
    return int(port)


def _wait_for_adbd(state: State) -> None:
    """Until adbd listens. Before that, adb would connect to qemu, find nobody behind it, and say "offline".

    Raises:
        BertMobileError: the device ends, or needs longer than any machine should.
    """
    deadline = time.monotonic() + _BOOT_SECONDS
    while _READY not in (said := state.console.read_text("utf-8", errors="replace")):
        if time.monotonic() > deadline or state.process() is None:
            *_, last = ["nothing", *said.splitlines()]
            raise BertMobileError(f"the emulated device does not come up; its console says last: {last}")
        time.sleep(_POLL_SECONDS)


def _sweep(cache: Path) -> None:
    for serial in sweep(cache):
        adb.disconnect(serial)
