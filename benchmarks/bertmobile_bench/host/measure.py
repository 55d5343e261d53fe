"""Measures bundles, each in a process of its own."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertmobile.manifest import Manifest, read_manifest
from bertmobile_bench.documents import by_name, document
from bertmobile_bench.host.environment import read_environment, readings
from bertmobile_bench.host.worker import Job
from bertmobile_bench.measured import Measured, comparisons, result
from bertmobile_bench.settings import Amount
from bertmobile_bench.turns import WARM_UP_RUNS, Case, Progress, take_turns
from bertmobile_bench.workers import Worker
from bertmobile_bench.workloads import TEXTS, fitting_lengths, sentences

# Other work beside a measurement, in cores.
BUSY = 0.5
_WORKER = (sys.executable, "-m", "bertmobile_bench.host.worker")


@dataclass(frozen=True)
class Settings(Amount):
    """How to measure on this machine.

    Attributes:
        engine: of the runtime; None for each target's own.
        reference: a checkpoint folder for eager PyTorch, or None.
        versus: a bundle that each other is compared with, or None.
        cache_dir: for the engines' caches; None for none.
    """

    engine: str | None = None
    reference: str | None = None
    versus: Path | None = None
    cache_dir: Path | None = None


def measure(
    bundles: Sequence[Path], settings: Settings, progress: Progress = lambda stage, done, total: None
) -> dict[str, Any]:
    """Measure bundles on this machine.

    Args:
        bundles: folders; each is named once.
        settings: how.
        progress: called now and then.

    Returns:
        A document after the schema ``results``.

    Raises:
        BundleError: a bundle is damaged.
        UsageError: two bundles of one name, no common length, or an engine that cannot run them.
    """
    subjects = by_name([*bundles, *([settings.versus] if settings.versus else [])])
    manifests = {name: read_manifest(folder) for name, folder in subjects.items()}
    device = read_environment()
    jobs = dict(_jobs(subjects, manifests, settings))
    with ExitStack() as stack:
        workers = {}
        for index, (key, job) in enumerate(jobs.items()):
            progress("Opening", index, len(jobs))
            workers[key] = stack.enter_context(_start(job))
        cases = [
            Case(worker, name, threads, workload)
            for (name, threads), worker in workers.items()
            for workload in _workloads(jobs[name, threads])
        ]
        take_turns(cases, settings.runs, settings.seconds, progress)
    peaks = {}
    for index, (key, job) in enumerate(jobs.items()):
        progress("Measuring memory", index, len(jobs))
        with _start(job) as worker:
            for workload in _workloads(job):
                worker.run(workload, WARM_UP_RUNS)
            peaks[key] = worker.peak_bytes()
    measured = [Measured.of_case(case, peaks[case.bundle, case.threads]) for case in cases]
    busy = _other_work(device)
    versus = settings.versus.resolve().name if settings.versus else None
    return document(
        {**device, "after": readings()},
        {name: (folder, manifests[name]) for name, folder in subjects.items()},
        [result(each, runner="python", doubts=busy) for each in measured],
        list(comparisons(measured, versus)),
        runs=settings.runs,
        seconds=settings.seconds,
        versus=versus,
    )


def _start(job: Job) -> Worker:
    return Worker([*_WORKER, job.to_json()])


def _jobs(
    subjects: dict[str, Path], manifests: dict[str, Manifest], settings: Settings
) -> Iterator[tuple[tuple[str, int], Job]]:
    """By bundle and threads; PyTorch's are named after what they run."""
    for name, folder in subjects.items():
        fitting = fitting_lengths(manifests[name], settings.lengths, texts=settings.texts)
        for threads in settings.threads:
            cache = str(settings.cache_dir) if settings.cache_dir else None
            texts = sentences() if settings.texts else ()
            yield (
                (name, threads),
                Job(str(folder), settings.engine, None, threads, fitting, texts, cache),
            )
    if settings.reference:
        first, folder = next(iter(subjects.items()))
        for threads in settings.threads:
            lengths = tuple(length for length in settings.lengths if length <= max(manifests[first].lengths))
            texts = sentences() if settings.texts else ()
            yield (
                (settings.reference, threads),
                Job(str(folder), None, settings.reference, threads, lengths, texts),
            )


def _workloads(job: Job) -> list[str]:
    return [*map(str, job.lengths), *([TEXTS] if job.texts else [])]


def _other_work(device: dict[str, Any]) -> list[str]:
    load = device["load_average"]
    return [f"other work: a load of {load:.1f} before"] if load is not None and load > BUSY else []
