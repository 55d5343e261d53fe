"""Private adb servers, on sockets of their own and with keys of their own."""

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

WAIT_SECONDS = 30.0
# Else a server takes whatever listens on a port of 5555 to 5585 for an emulator, under a second name.
NO_EMULATORS = {"ADB_LOCAL_TRANSPORT_MAX_PORT": "5553"}


def need(*programs: str) -> None:
    """Skip the test where a program is not installed; on the machines that check all changes, fail."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        why = f"needs {', '.join(missing)}"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


def need_linux(*machines: str) -> None:
    """Skip the test on other systems, and on processors other than those, if any are given."""
    if sys.platform != "linux" or (machines and platform.machine() not in machines):
        pytest.skip(f"for Linux {' or '.join(machines)}")


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it does not.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_SECONDS:.0f} s"
        time.sleep(0.02)


def adb(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The real client, with the server that the environment names."""
    return subprocess.run(
        ["adb", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_SECONDS
    )


@contextmanager
def serving(folder: Path, address: str | None = None) -> Iterator[str]:
    """A server that has its key and its log in the folder, and its socket unless an address is given.

    Yields:
        Its address, as ``ADB_SERVER_SOCKET`` takes it.
    """
    need("adb")
    address = address or f"localfilesystem:{folder / 'socket'}"
    environment = {**os.environ, **NO_EMULATORS, "HOME": str(folder), "TMPDIR": str(folder)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            ["adb", "-L", address, "nodaemon", "server"], env=environment, stdout=log, stderr=log
        )
    try:
        wait_for(lambda: listens(address), "an adb server")
        yield address
    finally:
        server.kill()
        server.wait()


@contextmanager
def private_address(address: str) -> Iterator[None]:
    """Have adb's client use a server, whatever the environment said before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADB_SERVER_SOCKET", address)
        for name in ("ANDROID_SERIAL", "ANDROID_ADB_SERVER_PORT", "ANDROID_ADB_SERVER_ADDRESS"):
            patch.delenv(name, raising=False)
        yield


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def listens(address: str) -> bool:
    """Whether a server answers."""
    kind, _, place = address.partition(":")
    with suppress(OSError):
        if kind == "tcp":
            socket.create_connection(("127.0.0.1", int(place))).close()
        else:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(place)
        return True
    return False
