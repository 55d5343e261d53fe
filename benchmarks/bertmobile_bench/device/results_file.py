"""Results on the disk, a document on each line, so that an interrupted benchmark can go on."""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertmobile.errors import UsageError

# Identifies a cell's document.
Key = tuple[Any, ...]


def key_of(found: Mapping[str, Any]) -> Key:
    """What a document is the result of: device, runner, threads, workload, cores and bundles."""
    first = found["results"][0]
    digests = frozenset((bundle["name"], bundle["sha256"]) for bundle in found["bundles"])
    how = tuple(found["settings"][name] for name in ("runs", "seconds", "versus"))
    device = found["device"]["serial"], found["device"]["fingerprint"]
    return (*device, first["runner"], first["threads"], first["workload"], first["core_mask"], how, digests)


class ResultsFile:
    """A document on each line of a file, added as soon as its cell is done; or in memory only.

    Args:
        path: of the file; None for none.
        resume: go on where it ends.

    Attributes:
        documents: all, those of an earlier run included.
        keys: of their cells.

    Raises:
        UsageError: there is such a file, and it is not to be resumed; or it holds something else.
    """

    def __init__(self, path: Path | None, *, resume: bool = False) -> None:
        self.documents: list[dict[str, Any]] = []
        self.keys: set[Key] = set()
        self._path, self._lock = path, threading.Lock()
        if path is None:
            return
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()  # now, not after the first cell, shows that it can be written
            return
        if not resume:
            raise UsageError(f"{path} exists; go on with --resume, or name another file")
        whole = _whole_lines(path)
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                found = json.loads(line)
                self.keys.add(key_of(found))
            except (ValueError, LookupError, TypeError) as failure:
                raise UsageError(f"line {number} of {path} is not a result; name another file") from failure
            self.documents.append(found)
        # An interrupted run may have left half a line.
        with path.open("r+b") as file:
            file.truncate(len(whole.encode()))

    def add(self, found: dict[str, Any]) -> None:
        """Add a document; it is on the disk when this returns."""
        with self._lock:
            self.documents.append(found)
            self.keys.add(key_of(found))
            if self._path:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found, allow_nan=False) + "\n")
                    file.flush()
                    os.fsync(file.fileno())


def _whole_lines(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8", errors="strict")
    except UnicodeDecodeError as failure:
        raise UsageError(f"{path} is not a file of results; name another file") from failure
    return text[: text.rfind("\n") + 1]
