"""Debian's real adbd in a container without network, with an adb server that is reached by its socket."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bertmobile_bench.emulator.packages import Apt
from tests.benchmarks.device.adb_server import (
    NO_EMULATORS,
    adb,
    listens,
    need,
    need_linux,
    private_address,
    wait_for,
)

SERIAL = "localhost:5555"
# A part of the device that is soon full.
SMALL, SMALL_BYTES = "/data/small", 1_000_000
# With the loader and the libraries of its packages, which its commands do not get to see.
_START = """\
libraries=/adbd/usr/lib/x86_64-linux-gnu/android:/adbd/usr/lib/x86_64-linux-gnu:/adbd/lib/x86_64-linux-gnu
/adbd/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path "$libraries" \\
  /adbd/usr/lib/android-sdk/platform-tools/adbd &
exec adb -L localfilesystem:/shared/socket nodaemon server
"""


def unpack_adbd(folder: Path) -> Path:
    """Fetch adbd and what it depends on, and unpack all in a folder; the system stays as it is."""
    need("apt-get", "dpkg-deb")
    need_linux("x86_64")
    unpacked = folder / "root"
    for package in Apt(("bookworm", "bookworm-backports"), folder / "apt", "amd64").download("adbd"):
        subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
    return unpacked


@dataclass(frozen=True)
class RealDevice:
    """A device that runs; ``temporary`` is its folder for temporary files, seen from here."""

    temporary: Path
    container: psutil.Process
    idle: frozenset[int]

    @property
    def running(self) -> list[int]:
        """Ids, as this side has them, of what was started on it."""
        found = self.container.children(recursive=True)
        return [each.pid for each in found if each.pid not in self.idle]

    @property
    def left(self) -> list[str]:
        """Names in its folder for temporary files."""
        return sorted(path.name for path in self.temporary.iterdir())


@contextmanager
def real_device(unpacked: Path, folder: Path) -> Iterator[RealDevice]:
    """Start a device, connected to a server that the environment names."""
    need("adb", "bwrap")
    temporary, shared = folder / "temporary", folder / "shared"
    for each in (temporary, shared):
        each.mkdir()
    (shared / "start").write_text(_START)
    system = [f"--symlink usr/{name} /{name}".split() for name in ("bin", "lib", "lib64", "sbin")]
    command: list[str | Path] = [
        "bwrap", "--unshare-net", "--unshare-pid", "--die-with-parent", "--new-session",
        "--ro-bind", "/usr", "/usr", *(part for link in system for part in link), "--ro-bind", "/etc", "/etc",
        "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--setenv", "HOME", "/tmp",
        "--ro-bind", unpacked, "/adbd", "--bind", shared, "/shared", "--bind", temporary, "/data/local/tmp",
        "--size", str(SMALL_BYTES), "--tmpfs", SMALL, "/bin/sh", "/shared/start",
    ]  # fmt: skip
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("ADB_", "ANDROID_"))
    }
    address = f"localfilesystem:{shared / 'socket'}"
    with (folder / "log").open("w") as log:
        container = subprocess.Popen(command, stdout=log, stderr=log, env=environment | NO_EMULATORS)
    try:
        wait_for(lambda: listens(address), "an adb server")
        with private_address(address):
            wait_for(lambda: "connected to" in adb("connect", SERIAL).stdout, "adbd")
            wait_for(lambda: adb("-s", SERIAL, "shell", "true").returncode == 0, "a device that is ready")
            process = psutil.Process(container.pid)
            own = frozenset(each.pid for each in process.children(recursive=True))
            yield RealDevice(temporary, process, own)
    finally:
        container.kill()
        container.wait()
