"""Real bundles of tiny checkpoints; each is made once, by the first test that asks for it."""

import fcntl
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bertmobile_export.export import Request, Result, export
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets.tflite import TARGET
from bertmobile_export.threads import one_thread_each

from .checkpoints import make_checkpoint

Made = TypeVar("Made")

BIN = Path(sys.executable).parent
# One layer: converting takes seconds for each, and none of the tests here is about depth. Two length buckets.
SMALL = {"hidden_size": 64, "num_hidden_layers": 1, "max_position_embeddings": 64}
LABELS = {
    "text-classification": ("bad", "good", "undecided"),
    "token-classification": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
}
# Two bits for a whole matrix: 0 and plus or minus one.
COARSE = {
    "name": "coarse",
    "weights": {
        "embeddings": {"bits": 8},
        "encoder": {"bits": 2, "granularity": "tensor"},
        "head": {"bits": 8},
    },
    "activations": "dynamic",
}


def small_checkpoint(folder: Path, task: str, **more: Any) -> Path:
    """A checkpoint in ``folder``, named as the folder is; see :func:`make_checkpoint`."""
    names = LABELS.get(task, ())
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    return make_checkpoint(folder, task, **{**SMALL, **(labels if names else {}), **more})


@contextmanager
def _own_target() -> Iterator[None]:
    """Without what a test may have put in place of the conversion: these bundles serve other tests too."""
    replaced = vars(TARGET).pop("write", None)
    try:
        yield
    finally:
        if replaced is not None:
            vars(TARGET)["write"] = replaced


@dataclass
class Exports:
    """Checkpoints, bundles and whatever else is costly to make; do not change any of it.

    Pytest may run in several processes (``-n``); they share ``folder``, so that what one has made serves all.
    """

    folder: Path
    _made: dict[str, Any] = field(default_factory=dict)

    def once(self, key: str, make: Callable[[Path], Made]) -> Made:
        """What ``make`` returns, made in a new folder by the first process that asks for ``key``."""
        if key not in self._made:
            name = hashlib.sha256(key.encode()).hexdigest()[:16]
            kept = self.folder / "kept" / f"{name}.pickle"
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.with_suffix(".lock").open("w") as lock:
                # Let go of when the file is closed, by the end of the process at the latest.
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not kept.exists():
                    folder = self.folder / name
                    shutil.rmtree(folder, ignore_errors=True)  # what a failure left
                    folder.mkdir()
                    kept.write_bytes(pickle.dumps(make(folder)))
            self._made[key] = pickle.loads(kept.read_bytes())
        made: Made = self._made[key]
        return made

    def checkpoint(self, task: str, **more: Any) -> Path:
        """A checkpoint's folder, in another of its own, so that two may have the same name."""
        key = json.dumps(["checkpoint", task, more], sort_keys=True)
        return self.once(key, lambda folder: small_checkpoint(folder / f"tiny-{task}", task, **more))

    def recipe_file(self, document: dict[str, Any]) -> Path:
        def write(folder: Path) -> Path:
            path = folder / f"{document['name']}.json"
            path.write_text(json.dumps(document), encoding="utf-8")
            return path

        return self.once(json.dumps(["recipe", document], sort_keys=True), write)

    def __call__(
        self,
        task: str,
        recipe: str = "float32",
        *,
        target: str = "tflite",
        checkpoint: dict[str, Any] | None = None,
        **request: Any,
    ) -> Result:
        """Export a checkpoint.

        Args:
            task: of the checkpoint.
            recipe: a name or a file.
            target: of the bundle.
            checkpoint: what else :meth:`checkpoint` takes.
            request: more fields of the request.
        """
        key = json.dumps(["bundle", task, recipe, target, checkpoint, request], sort_keys=True, default=str)
        source = self.checkpoint(task, **(checkpoint or {}))
        return self.once(key, lambda folder: here(source, recipe, target, folder, **request))


def here(source: Path, recipe: str, target: str, output: Path, **request: Any) -> Result:
    """Export a checkpoint in this process."""
    with one_thread_each(), _own_target():
        return export(
            Request(model=str(source), target=target, recipe=read_recipe(recipe), output=output, **request)
        )


# What a process tried to reach, one line each; Python raises these events before it connects.
_WATCH = """
import os, sys
def _hook(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect", "socket.sendto"):
        address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        if isinstance(address, (str, bytes)) and event != "socket.getaddrinfo":
            return  # a socket in the file system
        with open(os.environ["ATTEMPTS"], "a") as file:
            file.write(f"{event} {address}\\n")
        raise OSError(f"no network in this test: {event} {address}")
sys.addaudithook(_hook)
"""
# The kernel counts what found no way out, whichever language it was written in.
_COUNT = 'counters=$1; shift; "$@"; code=$?; cat /proc/net/snmp > "$counters"; exit $code'


@dataclass(frozen=True)
class Offline:
    """A finished process that had no network, and what it left behind.

    ``attempts`` are the connections and look-ups it tried from Python; ``unroutable`` is how many packets it
    tried to send from any code, or None where no network namespace may be made.
    """

    done: "subprocess.CompletedProcess[str]"
    attempts: list[str]
    unroutable: int | None
    written: list[str]


def _namespace() -> list[str]:
    for command in (["unshare", "-n"], ["unshare", "-r", "-n"]):
        try:
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            return []
    return []


def run_offline(command: Sequence[str | Path], folder: Path, **more: str) -> Offline:
    """Run a command without network, with empty folders for its home and its temporary files."""
    site, home, temporary = (folder / name for name in ("site", "home", "tmp"))
    for path in (site, home, temporary):
        path.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(_WATCH, encoding="utf-8")
    counters, attempts = folder / "counters", folder / "attempts"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(site),
        "ATTEMPTS": str(attempts),
        **more,
    }
    namespace = _namespace()
    wrapped = [*namespace, "sh", "-c", _COUNT, "sh", counters] if namespace else []
    done = subprocess.run(
        [*map(str, [*wrapped, *command])],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    written = [
        path.relative_to(folder).as_posix() for place in (home, temporary) for path in place.rglob("*")
    ]
    return Offline(
        done,
        attempts.read_text().splitlines() if attempts.exists() else [],
        _unroutable(counters.read_text()) if namespace else None,
        written,
    )


def _unroutable(snmp: str) -> int:
    names, values = (line.split()[1:] for line in snmp.splitlines() if line.startswith("Ip:"))
    return int(dict(zip(names, values, strict=True))["OutNoRoutes"])
