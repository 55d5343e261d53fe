"""What the emulator needs of the system."""

import shutil
from pathlib import Path

from bertmobile.errors import MissingToolError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_ADD = "add it with: apt-get install {}"
_DEBIAN = "the emulated device is made of Debian's packages: use Debian or one of its relatives"
# Program -> what to do without it.
_REMEDIES = {
    "qemu-system-aarch64": _ADD.format("qemu-system-arm"),
    "adb": _ADD.format("adb"),
    "apt-get": _DEBIAN,
    "apt-cache": _DEBIAN,
    "dpkg-deb": _DEBIAN,
}


def require(*programs: str) -> None:
    """Make sure that programs are installed.

    Raises:
        MissingToolError: one is not; the message says how to get it.
    """
    for program in programs:
        if shutil.which(program) is None:
            raise MissingToolError(program, _REMEDIES[program])


def require_keyring() -> None:
    """Make sure that Debian's public keys are there.

    Raises:
        MissingToolError: they are not; the message says how to get them.
    """
    if not KEYRING.exists():
        raise MissingToolError(KEYRING.stem, _ADD.format(KEYRING.stem))
