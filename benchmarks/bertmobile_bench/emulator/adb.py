"""How adb gets to know an emulated device, and forgets it; the environment names the server."""

import contextlib
import subprocess
import time

from bertmobile.errors import BertMobileError
from bertmobile_bench.device.adb import Device, DeviceError

_CALL_SECONDS = 20.0
_PAUSE_SECONDS = 0.2


def connect(serial: str, seconds: float) -> None:
    """Wait until the device at an address runs commands.

    Raises:
        BertMobileError: it does not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not _reaches(serial):
        if time.monotonic() > deadline:
            raise BertMobileError(f"adb does not reach the emulated device {serial} within {seconds:.0f} s")
        # A device that was met while it started stays "offline" until it is forgotten.
        disconnect(serial)
        time.sleep(_PAUSE_SECONDS)


def disconnect(serial: str) -> None:
    """Let the server forget a device; nothing happens if it knows none of that name."""
    with contextlib.suppress(FileNotFoundError):
        _adb("disconnect", serial)


def _reaches(serial: str) -> bool:
    _adb("connect", serial)
    try:
        Device(serial).shell("true", seconds=_CALL_SECONDS)
    except DeviceError:
        return False
    return True


def _adb(verb: str, serial: str) -> None:
    # Its exit code is 0 in any case.
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["adb", verb, serial],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_CALL_SECONDS,
            check=False,
        )
