"""Real bundles of tiny checkpoints; each is made once, by the first test that asks for it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertmobile_export.export import Request, Result, export
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets.tflite import TARGET
from bertmobile_export.threads import one_thread_each

from .checkpoints import make_checkpoint

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
    """Checkpoints in ``folder/checkpoints`` and bundles in ``folder/bundles``; do not change either."""

    folder: Path
    _checkpoints: dict[str, Path] = field(default_factory=dict)
    _results: dict[str, Result] = field(default_factory=dict)

    def checkpoint(self, task: str, **more: Any) -> Path:
        key = json.dumps([task, more], sort_keys=True)
        if key not in self._checkpoints:
            # A folder of its own for each, so that two may have the same name.
            parent = self.folder / "checkpoints" / str(len(self._checkpoints))
            self._checkpoints[key] = small_checkpoint(parent / f"tiny-{task}", task, **more)
        return self._checkpoints[key]

    def recipe_file(self, document: dict[str, Any]) -> Path:
        path = self.folder / f"{document['name']}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

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
        key = json.dumps([task, recipe, target, checkpoint, request], sort_keys=True, default=str)
        if key not in self._results:
            with one_thread_each(), _own_target():
                self._results[key] = export(
                    Request(
                        model=str(self.checkpoint(task, **(checkpoint or {}))),
                        target=target,
                        recipe=read_recipe(recipe),
                        output=self.folder / "bundles" / str(len(self._results)),
                        **request,
                    )
                )
        return self._results[key]


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
