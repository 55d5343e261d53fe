"""Processes that hold a model and run it when told to, seen from the process that directs them."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from bertmobile.errors import BertMobileError
from bertmobile_bench.processes import Closing, killed_after

# Not a workload: asks for the peak of the resident bytes instead.
PEAK = "peak"
# Runs each input of a workload once, and writes the outputs to a file.
ANSWERS = "answers"
# What our own workers begin their last words with; libraries log beside them.
_ERROR = "error: "
# Neither telemetry nor log lines, whatever the libraries' versions.
_QUIET = {"ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "false"}


OPEN_SECONDS = 600.0
# Beside what runs take: a device that does not answer for longer is lost.
ANSWER_SECONDS = 60.0


class Worker(Closing):
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
        BertMobileError: the model cannot be opened or run, in the worker's own words; or it does not answer.
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
        self._run_seconds = 0.0
        opened = self._answer(dict, OPEN_SECONDS)
        self.opened: dict[str, Any] = {"cold_start_seconds": time.perf_counter() - started, **opened}

    def run(self, workload: str, count: int) -> list[float]:
        """Latencies in seconds of so many runs, one after the other."""
        expected = count * self._run_seconds if self._run_seconds else OPEN_SECONDS
        seconds = self._ask(f"{workload} {count}", ANSWER_SECONDS + 10 * expected)
        self._run_seconds = max(seconds)
        return seconds

    def answer(self, workload: str) -> int:
        """Write the outputs of each of the workload's inputs to a file; how many these were."""
        (count,) = self._ask(f"{ANSWERS} {workload}", OPEN_SECONDS)
        return int(count)

    def peak_bytes(self) -> int:
        """Peak resident bytes so far, an interpreter's included."""
        (peak,) = self._ask(f"{PEAK} 1", ANSWER_SECONDS)
        return int(peak)

    def _ask(self, line: str, seconds: float) -> list[float]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer says why
            print(line, file=self._process.stdin, flush=True)
        numbers: list[float] = self._answer(list, seconds)
        return numbers

    def _answer(self, kind: type, seconds: float) -> Any:
        assert self._process.stdout is not None
        said = []
        with killed_after(self._process, seconds) as expired:
            for line in self._process.stdout:
                with contextlib.suppress(ValueError):
                    if isinstance(found := json.loads(line), kind):
                        return found
                said.append(line)  # of a library, or of a shell
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in [*said, *self._errors.read().splitlines()] if line.strip()]
        self.close()
        if expired.is_set():
            raise BertMobileError(
                f"{self._who} did not answer within {seconds:.0f} s; is it still connected?"
            )
        own = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
        reason = (own or lines or ["it said nothing"])[-1]
        raise BertMobileError(f"{self._who} ended with {code} while it was measured: {reason}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()
