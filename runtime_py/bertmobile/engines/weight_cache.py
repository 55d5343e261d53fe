"""XNNPACK's weight cache on disk: packed weights, mapped into memory once for all signatures and processes.

XNNPACK trusts the file it is given: a truncated one can crash it, one packed from other weights gives wrong
answers. So a cache is named after everything its content depends on, built under a name of its own, and only
used while its size and modification time are those it had when it was finished, which its name records. A
rename is atomic: concurrent first users each build one, and the last finished stays or both do.
"""

import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

SUFFIX = ".xnnpack"
# Building takes seconds.
ABANDONED_SECONDS = 3600


def cache_key(model_sha256: str, library: str) -> str:
    """The name under which a model's packed weights are cached.

    Args:
        model_sha256: hash of the model file.
        library: identity of the library that packs the weights.

    Packing also depends on the CPU, whose instruction sets choose the kernels.
    """
    parts = (model_sha256, library, platform.machine(), _cpu_flags())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _cpu_flags() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor()
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo.read_text(), re.MULTILINE)
    return match.group(1) if match else ""


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes left that were killed while they built a cache."""
    for path in folder.glob("*.building-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


class WeightCache:
    """One model's cache in a folder that the caller names.

    Use: hand ``path`` to the engine; when it has loaded the model, call :meth:`finish`. On failure
    :meth:`discard` removes what was begun.
    """

    def __init__(self, folder: Path, key: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        self._folder = folder
        self._key = key
        found = self._find()
        self.warm = found is not None
        self.path = found or folder / f"{key}.building-{os.getpid()}-{uuid.uuid4().hex}"

    def _stamped(self, path: Path) -> Path:
        stat = path.stat()
        return self._folder / f"{self._key}-{stat.st_size}-{stat.st_mtime_ns}{SUFFIX}"

    def _find(self) -> Path | None:
        """A finished cache that is as it was finished; damaged ones are removed."""
        for path in sorted(self._folder.glob(f"{self._key}-*{SUFFIX}")):
            try:
                if path.stat().st_size and self._stamped(path) == path:
                    return path
                path.unlink()
            except FileNotFoundError:  # another process removed it
                continue
        return None

    def has_room(self, model_bytes: int) -> bool:
        """Whether the folder's disk can hold a cache that is not there yet; a full one ends the process.

        Args:
            model_bytes: size of the model file. Packed weights take about as much, float16 ones twice.
        """
        return self.warm or shutil.disk_usage(self._folder).free > 3 * model_bytes

    def finish(self) -> None:
        """Make a newly built cache visible to later loads; call it once the engine has loaded the model."""
        if not self.warm and self.path.exists():
            self.path = self.path.rename(self._stamped(self.path))

    def discard(self) -> None:
        """Remove the file: it could not be used."""
        self.path.unlink(missing_ok=True)
