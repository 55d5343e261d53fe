"""Kernel and first file system of the device, made once and kept in a cache."""

import hashlib
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bertmobile.errors import BertMobileError
from bertmobile_bench.emulator import cpio, packages

_KERNEL = "vmlinuz"
_FILES = "initramfs.cpio"
_OWN_FILES = Path(__file__).with_name("rootfs")
# Everything that decides what an image holds, beside Debian's versions.
_SOURCES = ("cpio.py", "device.toml", "image.py", "packages.py", "rootfs/**/*")
_EMPTY_FOLDERS = ("dev", "proc", "sys", "tmp", "data/local/tmp", "bin", "sbin", "usr/bin", "usr/sbin", "root")
# busybox makes the links of its other commands itself; the first of them has to be there to do so.
_LINKS = {"init": "bin/busybox", "bin/sh": "busybox"}


@dataclass(frozen=True)
class Image:
    """What qemu boots."""

    kernel: Path
    initramfs: Path


def cached(cache: Path) -> Image | None:
    """The image in the cache, if this version of the project made it."""
    folder = _folder(cache)
    return Image(folder / _KERNEL, folder / _FILES) if folder.exists() else None


def build(cache: Path) -> Image:
    """Make the image from Debian's newest packages, and let it take the place of all others in the cache.

    To be called by one process at a time.

    Raises:
        MissingToolError: this is no system with apt and Debian's keys.
        BertMobileError: a package cannot be had.
    """
    recipe = packages.read_recipe()
    entries: list[cpio.Entry] = []
    with _scratch(cache) as scratch:
        fetched = packages.fetch(recipe, scratch / "apt")
        made = scratch / "image"
        made.mkdir()
        with _content(fetched.kernel) as tar:
            kernel, modules = _read_kernel(tar, recipe.modules)
        (made / _KERNEL).write_bytes(kernel)
        for package in fetched.others:
            with _content(package) as tar:
                entries += _read_files(tar, recipe.left_out)
        with (made / _FILES).open("wb") as archive:
            cpio.write(archive, with_folders([*entries, *modules, *_own_files()]))
        folder = _folder(cache)
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.parent.mkdir()
        made.rename(folder)
    return Image(folder / _KERNEL, folder / _FILES)


@contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    """An empty folder that a killed process does not leave for good, as its name is always the same."""
    folder = cache / "unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def with_folders(entries: Iterable[cpio.Entry]) -> list[cpio.Entry]:
    """The entries in the order of their paths, with a folder before each that needs one.

    Of several with the same path the last one counts.
    """
    given = {entry.path: entry for entry in entries}
    parents = {str(parent) for path in given for parent in PurePosixPath(path).parents} - {"."}
    return [given.get(path) or cpio.folder(path) for path in sorted(parents | set(given))]


def _folder(cache: Path) -> Path:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(here.glob(pattern)):
            if path.is_file():
                digest.update(path.read_bytes())
    return cache / "images" / digest.hexdigest()[:16]


@contextmanager
def _content(package: Path) -> Iterator[tarfile.TarFile]:
    """What a package installs."""
    with tempfile.TemporaryFile(dir=package.parent) as unpacked:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=unpacked, check=True)
        unpacked.seek(0)
        with tarfile.open(fileobj=unpacked, mode="r:") as tar:
            yield tar


def _read_files(tar: tarfile.TarFile, left_out: tuple[str, ...]) -> Iterator[cpio.Entry]:
    for member in tar:
        path = member.name.removeprefix("./").rstrip("/")
        if f"{path}/".startswith(left_out) or member.isdir():
            continue
        if member.issym():
            yield cpio.link(path, member.linkname)
        elif member.isfile() or member.islnk():
            yield cpio.file(path, _read(tar, member), stat.S_IMODE(member.mode))


def _read_kernel(tar: tarfile.TarFile, modules: tuple[str, ...]) -> tuple[bytes, list[cpio.Entry]]:
    """The kernel, and the modules to load, numbered in their order.

    Raises:
        BertMobileError: the package does not have them; Debian has changed its kernel.
    """
    named = {Path(member.name).name: member for member in tar if member.isfile()}
    images = [name for name in named if name.startswith("vmlinuz-")]
    missing = [module for module in modules if f"{module}.ko" not in named]
    if not images or missing:
        raise BertMobileError(f"Debian's kernel lacks what the device needs: {missing or 'vmlinuz'}")
    return _read(tar, named[images[0]]), [
        cpio.file(f"lib/modules/{number:02}-{module}.ko", _read(tar, named[f"{module}.ko"]))
        for number, module in enumerate(modules)
    ]


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # a regular file, or a hard link to one
    return file.read()


def _own_files() -> Iterator[cpio.Entry]:
    for path in _OWN_FILES.rglob("*"):
        if path.is_file():
            name = path.relative_to(_OWN_FILES).as_posix()
            yield cpio.file(name, path.read_bytes(), 0o755)
    for name in _EMPTY_FOLDERS:
        yield cpio.folder(name)
    for name, target in _LINKS.items():
        yield cpio.link(name, target)
    # The console of the first process, before there is a devtmpfs.
    yield cpio.device("dev/console", 5, 1)
