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

    def take_turn(self) -> None:
        """Run for about ``TURN_SECONDS``; the first time, only so often as to know how long that is."""
        usual = median(self.rounds[-1]) if self.rounds else None
        count = max(1, round(TURN_SECONDS / usual)) if usual else WARM_UP_RUNS
        self.rounds.append(self.worker.run(self.workload, count))


def take_turns(cases: Sequence[Case], runs: int, seconds: float, progress: Progress) -> None:
    """Warm every case up, then give all of them turns until the last has had enough.

    Args:
        cases: without rounds.
        runs, seconds: of each case, at least.
        progress: called after each round.
    """
    for case in cases:
        case.take_turn()
    for case in cases:
        case.take_turn()
        del case.rounds[0]

    def enough(case: Case) -> bool:
        return len(case.seconds) >= runs and sum(case.seconds) >= seconds

    started = time.monotonic()
    total = max(1, round(seconds * len(cases)))
    while waiting := [case for case in cases if not enough(case)]:
        # All cases have a turn, so that those that are compared have the same rounds.
        for case in cases:
            case.take_turn()
        done = min(round(time.monotonic() - started), total)
        progress(f"Measuring, {len(waiting)} cases left", done, total)
