"""Processes that hold a model and run it when told to, seen from the process that directs them."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from bertmobile.errors import BertMobileError

# Not a workload: asks for the peak of the resident bytes instead.
PEAK = "peak"
# Runs each input of a workload once, and writes the outputs to a file.
ANSWERS = "answers"
# Neither telemetry nor log lines, whatever the libraries' versions.
_QUIET = {"ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "false"}


class Worker:
    """A running worker, on this machine or behind a command that reaches another. Ends with its context.

    It says what it opened (a JSON object), and then answers each line, ``WORKLOAD COUNT``, with a JSON list.

    Args:
        command: starts it.
        who: names it in errors.

    Attributes:
        opened: who runs the model: ``engine``, ``engine_version``, ``load_seconds``, and
            ``cold_start_seconds``: from the start of the process to its first answer, measured here unless
            the worker has measured it.

    Raises:
        BertMobileError: the model cannot be opened or run; in the worker's own words.
    """

    def __init__(self, command: Sequence[str], who: str = "a model") -> None:
        self._who = who
        # Not a pipe, which would stop a library that writes more than one holds.
        self._errors = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # until close()
        started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            errors="replace",
            env={**os.environ, **_QUIET},
        )
        opened = self._answer(dict)
        self.opened: dict[str, Any] = {"cold_start_seconds": time.perf_counter() - started, **opened}

    def run(self, workload: str, count: int) -> list[float]:
        """Latencies in seconds of so many runs, one after the other."""
        return self._ask(f"{workload} {count}")

    def answer(self, workload: str) -> int:
        """Write the outputs of each of the workload's inputs to a file; how many these were."""
        (count,) = self._ask(f"{ANSWERS} {workload}")
        return int(count)

    def peak_bytes(self) -> int:
        """Peak resident bytes so far, an interpreter's included."""
        (peak,) = self._ask(f"{PEAK} 1")
        return int(peak)

    def _ask(self, line: str) -> list[float]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer says why
            print(line, file=self._process.stdin, flush=True)
        numbers: list[float] = self._answer(list)
        return numbers

    def _answer(self, kind: type) -> Any:
        assert self._process.stdout is not None
        said = ["it said nothing"]
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                if isinstance(found := json.loads(line), kind):
                    return found
            said.append(line.strip())  # of a library, or of a shell
        self._process.wait()
        self._errors.seek(0)
        *_, last = filter(None, [*said, *self._errors.read().splitlines()])
        self.close()
        raise BertMobileError(f"{self._who} ended while it was measured: {last}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
