"""Cases take turns until each has run often and long enough, so that a drift meets all of them alike."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bertmobile_bench.latency import doubts as why_doubted
from bertmobile_bench.latency import ratio, summarise
from bertmobile_bench.workers import Worker
from bertmobile_bench.workloads import TEXTS

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


def result(
    case: Case,
    *,
    runner: str,
    peak_bytes: int | None,
    engine_version: str | None = None,
    engine_bytes: int | None = None,
    core_mask: str | None = None,
    golden: Mapping[str, Any] | None = None,
    doubts: Sequence[str] = (),
) -> dict[str, Any]:
    """What was measured of a case, as the schema ``results`` has it.

    Args:
        case: after its turns.
        runner: what ran the engine.
        peak_bytes: resident, of a fresh process.
        engine_version: where the worker does not know it.
        engine_bytes: of the runtime library that an app carries.
        core_mask: of the cores it ran on, hexadecimal.
        golden: whether the bundle's golden answers came out.
        doubts: why it cannot be trusted, beside what the latencies say themselves.
    """
    opened, seconds = case.worker.opened, case.seconds
    return {
        "bundle": case.bundle,
        "runner": runner,
        "engine": opened["engine"],
        "engine_version": opened["engine_version"] or engine_version,
        "engine_bytes": engine_bytes,
        "threads": case.threads,
        "core_mask": core_mask,
        "workload": case.workload,
        "cold_start_seconds": opened["cold_start_seconds"],
        "load_seconds": opened["load_seconds"],
        "peak_bytes": peak_bytes,
        "latency": {**asdict(summarise(seconds)), "seconds": seconds},
        "per_second": len(seconds) / sum(seconds),
        "golden": golden,
        "doubts": [*why_doubted(seconds, alike=case.workload != TEXTS), *doubts],
    }


def comparisons(cases: Sequence[Case], versus: str | None) -> Iterator[dict[str, Any]]:
    """Of every case with the same case of the bundle ``versus``, round by round, as the schema has them."""
    others = {(case.threads, case.workload): case for case in cases if case.bundle == versus}
    for case in cases:
        other = others.get((case.threads, case.workload))
        if case.bundle == versus or other is None:
            continue
        value, interval = ratio(
            [median(turn) for turn in case.rounds], [median(turn) for turn in other.rounds]
        )
        yield {
            "bundle": case.bundle,
            "versus": versus,
            "threads": case.threads,
            "workload": case.workload,
            "ratio": value,
            "interval": list(interval) if interval else None,
        }
