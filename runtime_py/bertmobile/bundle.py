"""Is a bundle folder exactly what its manifest says, and was it found equal to its source?"""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from bertmobile.errors import BundleError
from bertmobile.manifest import MANIFEST, Manifest

_T = TypeVar("_T")
_EXPORT_AGAIN = "copy or export the bundle again"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file as 64 lower-case hexadecimal digits, read in pieces.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_verdict(manifest: Manifest, *, allow_unverified: bool) -> None:
    """Refuse a bundle whose parity verdict is not ``passed``.

    Raises:
        BundleError: the verdict is ``pending`` or ``failed`` and ``allow_unverified`` is false.
    """
    if manifest.verdict == "passed" or allow_unverified:
        return
    cause = {
        "pending": "was never compared with its source model",
        "failed": "differs from its source model by more than its recipe allows",
    }[manifest.verdict]
    raise BundleError(
        f"{manifest.name} {cause} (verdict {manifest.verdict}); export it again, "
        "or load it all the same with allow_unverified=True (--allow-unverified)"
    )


def verify_bundle(folder: Path, manifest: Manifest, *, allow_unverified: bool) -> None:
    """Check the verdict, then every file of the folder against the manifest: names, sizes and SHA-256.

    Args:
        folder: the bundle.
        manifest: its manifest, already read and valid.
        allow_unverified: accept the verdicts ``pending`` and ``failed``.

    Raises:
        BundleError: a verdict that is not accepted; a file that is missing, not listed, changed, unreadable
            or outside the folder. The message names the file.
    """
    check_verdict(manifest, allow_unverified=allow_unverified)
    for listed in manifest.files:
        _check_inside(folder, listed)
    _check_names(folder, manifest)
    # All sizes first: a truncated copy is found without reading the large files.
    for listed, entry in manifest.files.items():
        size = _read(folder / listed, lambda path: path.stat().st_size)
        if size != entry.bytes:
            raise BundleError(
                f"{folder / listed} has {size} bytes, its manifest says {entry.bytes}; {_EXPORT_AGAIN}"
            )
    for listed, entry in manifest.files.items():
        if _read(folder / listed, sha256_file) != entry.sha256:
            raise BundleError(
                f"{folder / listed} was changed: its SHA-256 is not the manifest's; {_EXPORT_AGAIN}"
            )


def _read(path: Path, measure: Callable[[Path], _T]) -> _T:
    try:
        return measure(path)
    except OSError as failure:
        raise BundleError(f"{path} cannot be read ({failure.strerror}); {_EXPORT_AGAIN}") from failure


def _check_inside(folder: Path, listed: str) -> None:
    """A manifest may come from anywhere: never follow it, or a link, out of the folder."""
    path = PurePosixPath(listed)
    plain = listed.isprintable() and str(path) == listed and not path.is_absolute() and ".." not in path.parts
    # realpath, because Path.resolve() raises on links that go round in circles.
    if not plain or not Path(os.path.realpath(folder / path)).is_relative_to(os.path.realpath(folder)):
        raise BundleError(f"{folder / MANIFEST} lists {listed!r}, which leaves the bundle; {_EXPORT_AGAIN}")


def _check_names(folder: Path, manifest: Manifest) -> None:
    present = set(_files(folder))
    listed = set(manifest.files)
    for name in sorted(listed - present):
        raise BundleError(f"{folder / name} is missing; {_EXPORT_AGAIN}")
    for name in sorted(present - listed):
        raise BundleError(f"{folder / name} is not listed in {MANIFEST}; remove the file, or {_EXPORT_AGAIN}")
    if not any(name == manifest.model_file or name.startswith(f"{manifest.model_file}/") for name in listed):
        raise BundleError(f"{folder / manifest.model_file} is missing from {MANIFEST}; {_EXPORT_AGAIN}")


def _files(folder: Path) -> Iterator[str]:
    """Paths in the folder except the manifest's; a link to a folder counts as a file."""
    for parent, folders, files in os.walk(folder):
        linked = [name for name in folders if Path(parent, name).is_symlink()]
        for name in files + linked:
            path = Path(parent, name).relative_to(folder).as_posix()
            if path != MANIFEST:
                yield path
