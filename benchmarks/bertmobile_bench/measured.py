"""What was measured of a bundle at a number of threads and a workload, and what the schema makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bertmobile_bench.latency import doubts as why_doubted
from bertmobile_bench.latency import ratio, summarise
from bertmobile_bench.turns import Case
from bertmobile_bench.workloads import TEXTS


@dataclass(frozen=True)
class Measured:
    """Times in seconds, sizes in bytes; None for what a runner does not know.

    Attributes:
        bundle: its name.
        threads: of the CPU.
        workload: what was run.
        rounds: the latencies of each turn; none where a runner keeps no single ones.
        engine, engine_version: what ran it.
        engine_bytes: of the runtime library that an app carries.
        load_seconds: to open the model.
        cold_start_seconds: from the start of the process to its first answer.
        peak_bytes: resident, of a fresh process.
        pss_bytes: of an app after its runs, with its share of what it shares with others.
        thermal_status: Android's, the highest that an app saw.
        golden: whether the bundle's golden answers came out, as the schema has it.
        mean, median: of the latencies, where there are no single ones.
    """

    bundle: str
    threads: int
    workload: str
    rounds: Sequence[Sequence[float]]
    engine: str
    engine_version: str | None
    engine_bytes: int | None = None
    load_seconds: float | None = None
    cold_start_seconds: float | None = None
    peak_bytes: int | None = None
    pss_bytes: int | None = None
    thermal_status: int | None = None
    golden: Mapping[str, Any] | None = None
    mean: float | None = None
    median: float | None = None

    @classmethod
    def of_case(cls, case: Case, peak_bytes: int, **more: Any) -> "Measured":
        """What a case's worker and its turns say, and ``more``."""
        return cls(
            **{
                **case.worker.opened,
                "bundle": case.bundle,
                "threads": case.threads,
                "workload": case.workload,
                "rounds": case.rounds,
                "peak_bytes": peak_bytes,
                **more,
            }
        )


def result(
    measured: Measured, *, runner: str, core_mask: str | None = None, doubts: Sequence[str] = ()
) -> dict[str, Any]:
    """A result after the schema ``results``.

    Args:
        measured: what is known.
        runner: what ran the engine.
        core_mask: of the cores it ran on, hexadecimal.
        doubts: why it cannot be trusted, beside what the latencies say themselves.
    """
    seconds = [each for turn in measured.rounds for each in turn]
    latency = _latency(measured, seconds)
    return {
        "bundle": measured.bundle,
        "runner": runner,
        "engine": measured.engine,
        "engine_version": measured.engine_version,
        "engine_bytes": measured.engine_bytes,
        "threads": measured.threads,
        "core_mask": core_mask,
        "workload": measured.workload,
        "cold_start_seconds": measured.cold_start_seconds,
        "load_seconds": measured.load_seconds,
        "peak_bytes": measured.peak_bytes,
        "pss_bytes": measured.pss_bytes,
        "thermal_status": measured.thermal_status,
        "latency": latency,
        "per_second": 1 / latency["mean"] if latency["mean"] else None,
        "golden": measured.golden,
        "doubts": [*_own_doubts(measured, seconds), *doubts],
    }


def _latency(measured: Measured, seconds: Sequence[float]) -> dict[str, Any]:
    if seconds:
        return {**asdict(summarise(seconds)), "seconds": seconds}
    return {"p50": measured.median, "p90": None, "p99": None, "mean": measured.mean, "seconds": []}


def _own_doubts(measured: Measured, seconds: Sequence[float]) -> list[str]:
    if not seconds:
        return ["no single latencies: the runner reports a summary only"]
    return why_doubted(seconds, alike=measured.workload != TEXTS)


def comparisons(all_measured: Sequence[Measured], versus: str | None) -> Iterator[dict[str, Any]]:
    """Of each with the same of the bundle ``versus``, round by round, after the schema ``results``."""
    others = {(each.threads, each.workload): each for each in all_measured if each.bundle == versus}
    for each in all_measured:
        other = others.get((each.threads, each.workload))
        if each.bundle == versus or other is None or not each.rounds:
            continue
        value, interval = ratio(
            [median(turn) for turn in each.rounds], [median(turn) for turn in other.rounds]
        )
        yield {
            "bundle": each.bundle,
            "versus": versus,
            "threads": each.threads,
            "workload": each.workload,
            "ratio": value,
            "interval": list(interval) if interval else None,
        }
