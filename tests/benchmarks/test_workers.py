"""A worker that ends, or does not answer, is an error in a line that says why."""

import sys
import time

import pytest

from bertmobile.errors import BertMobileError
from bertmobile_bench import workers
from bertmobile_bench.workers import Worker

OPENED = 'print(\'{"engine": "e", "engine_version": null}\', flush=True)\n'


def worker(script: str) -> Worker:
    return Worker([sys.executable, "-c", script], who="a model")


def test_a_worker_that_does_not_answer_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(workers, "OPEN_SECONDS", 5.0)
    started = time.monotonic()
    asked = worker(OPENED + "import time; time.sleep(60)")
    with pytest.raises(BertMobileError, match="a model did not answer within 0 s; is it still connected"):
        asked.peak_bytes()
    assert time.monotonic() - started < 30


def test_a_worker_says_itself_why_it_ended() -> None:
    says = "import sys; sys.stderr.write('error: no memory\\nINFO: bye\\n')"
    script = f"{says}; sys.exit(3)"
    with pytest.raises(BertMobileError, match="ended with 3 while it was measured: no memory"):
        worker(script)


def test_lines_of_libraries_are_passed_over() -> None:
    answer = "print('INFO: fast'); print('[0.5]', flush=True); input()"
    with worker(f"print('INFO: here')\n{OPENED}input()\n{answer}") as asked:
        assert asked.opened["engine"] == "e" and asked.opened["cold_start_seconds"] > 0
        assert asked.run("32", 1) == [0.5]
