"""Worker processes, seen from the process that directs them."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any, Self

from bertmobile.errors import BertMobileError
from bertmobile_bench.host.worker import PEAK, Job

_MODULE = "bertmobile_bench.host.worker"
# Neither telemetry nor log lines, whatever the libraries' versions.
_QUIET = {"ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "false"}


class Worker:
    """A running worker. Ends with its context.

    Attributes:
        opened: who runs the model: ``engine``, ``engine_version``, ``load_seconds``.
        cold_start_seconds: from the start of the process to its first answer, the interpreter included.

    Raises:
        BertMobileError: the model cannot be opened or run; in the worker's own words.
    """

    def __init__(self, job: Job) -> None:
        # Not a pipe, which would stop a library that writes more than one holds.
        self._errors = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # until close()
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, job.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **_QUIET},
        )
        self.opened: dict[str, Any] = self._answer()
        self.cold_start_seconds = time.perf_counter() - started

    def run(self, workload: str, count: int) -> list[float]:
        """Latencies in seconds of so many runs, one after the other."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer says why
            print(workload, count, file=self._process.stdin, flush=True)
        seconds: list[float] = self._answer()
        return seconds

    def peak_bytes(self) -> int:
        """Peak resident bytes so far, the interpreter's included."""
        (peak,) = self.run(PEAK, 1)
        return int(peak)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        *_, last = ["it said nothing", *filter(None, self._errors.read().splitlines())]
        self.close()
        raise BertMobileError(f"a model ended while it was measured: {last}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
