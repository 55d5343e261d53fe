"""Cases take turns until each has run often and long enough, so that a drift meets all of them alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bertmobile_bench.workers import Worker

# Seconds of one case before the next has its turn: short against a drift of the machine.
TURN_SECONDS = 0.5
WARM_UP_RUNS = 3
Progress = Callable[[str, int, int], None]


@dataclass
class Case:
    """A worker and one of its workloads; ``rounds`` has the latencies of each turn in seconds."""

    worker: Worker
    bundle: str
    threads: int
    workload: str
    rounds: list[list[float]] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        """All latencies, in the order in which they were measured."""
        return [each for turn in self.rounds for each in turn]

    @property
    def fitting(self) -> int:
        """How many runs a turn has room for, by the last one; at first few, to know how long they take."""
        return max(1, round(TURN_SECONDS / median(self.rounds[-1]))) if self.rounds else WARM_UP_RUNS


def take_turns(cases: Sequence[Case], runs: int, seconds: float, progress: Progress) -> None:
    """Warm every case up, then give all of them turns until the last has had enough.

    Args:
        cases: without rounds.
        runs, seconds: of each case, at least.
        progress: called after each round.
    """
    _take_turn(cases)
    _take_turn(cases)
    for case in cases:
        del case.rounds[0]

    def enough(case: Case) -> bool:
        return len(case.seconds) >= runs and sum(case.seconds) >= seconds

    started = time.monotonic()
    total = max(1, round(seconds * len(cases)))
    while waiting := [case for case in cases if not enough(case)]:
        _take_turn(cases)
        done = min(round(time.monotonic() - started), total)
        progress(f"Measuring, {len(waiting)} cases left", done, total)


def _take_turn(cases: Sequence[Case]) -> None:
    """A turn for each case; those of one workload run equally often, so that all are at the same texts."""
    counts: dict[tuple[int, str], int] = {}
    for case in cases:
        key = case.threads, case.workload
        counts[key] = min(counts.get(key, case.fitting), case.fitting)
    for case in cases:
        case.rounds.append(case.worker.run(case.workload, counts[case.threads, case.workload]))
