"""Runs every case in turn, again and again, until each has run often and long enough."""

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bertmobile.bundle import sha256_file
from bertmobile.errors import UsageError
from bertmobile.manifest import MANIFEST, Manifest, read_manifest
from bertmobile_bench import schemas
from bertmobile_bench.host.environment import read_environment, readings
from bertmobile_bench.host.worker import TEXTS, Job
from bertmobile_bench.host.workers import Worker
from bertmobile_bench.latency import LEAST_RUNS, LEAST_SECONDS, doubts, ratio, summarise

LENGTHS = (32, 64, 128, 256)
THREADS = (1, 2)
# Seconds of one case before the next has its turn: short against a drift of the machine.
TURN_SECONDS = 0.5
WARM_UP_RUNS = 3
TEXT_COUNT = 100
# Other work beside a measurement, in cores.
BUSY = 0.5
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        threads: each bundle is measured with each number of CPU threads.
        lengths: tokens of a run; those that a bundle does not have are passed over.
        texts: whether sentences are a workload, too.
        runs, seconds: of each case, at least.
        engine: of the runtime; None for each target's own.
        reference: a checkpoint folder for eager PyTorch, or None.
        versus: a bundle that each other is compared with, or None.
        cache_dir: for the engines' caches; None for none.
    """

    threads: tuple[int, ...] = THREADS
    lengths: tuple[int, ...] = LENGTHS
    texts: bool = True
    runs: int = LEAST_RUNS
    seconds: float = LEAST_SECONDS
    engine: str | None = None
    reference: str | None = None
    versus: Path | None = None
    cache_dir: Path | None = None


@dataclass
class _Case:
    """A worker and one of its workloads."""

    worker: Worker
    subject: str
    threads: int
    workload: str
    rounds: list[list[float]] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        return [each for turn in self.rounds for each in turn]

    def take_turn(self) -> None:
        usual = median(self.rounds[-1]) if self.rounds else None
        count = max(1, round(TURN_SECONDS / usual)) if usual else WARM_UP_RUNS
        self.rounds.append(self.worker.run(self.workload, count))


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
    subjects = _subjects(bundles, settings.versus)
    manifests = {name: read_manifest(folder) for name, folder in subjects.items()}
    device = read_environment()
    jobs = dict(_jobs(subjects, manifests, settings))
    with ExitStack() as stack:
        workers = {}
        for index, (key, job) in enumerate(jobs.items()):
            progress("Opening", index, len(jobs))
            workers[key] = stack.enter_context(Worker(job))
        cases = [
            _Case(worker, subject, threads, workload)
            for (subject, threads), worker in workers.items()
            for workload in _workloads(jobs[subject, threads])
        ]
        _run(cases, settings, progress)
        opened = {key: worker.opened for key, worker in workers.items()}
        cold = {key: worker.cold_start_seconds for key, worker in workers.items()}
    peaks = {}
    for index, (key, job) in enumerate(jobs.items()):
        progress("Measuring memory", index, len(jobs))
        with Worker(job) as worker:
            for workload in _workloads(job):
                worker.run(workload, WARM_UP_RUNS)
            peaks[key] = worker.peak_bytes()
    document = {
        "schema_version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": version("bertmobile"),
        "device": {**device, "after": readings()},
        "bundles": [_bundle(name, folder, manifests[name]) for name, folder in subjects.items()],
        "results": [
            {
                "bundle": case.subject,
                "runner": "python",
                "engine_bytes": None,
                "core_mask": None,
                "golden": None,
                **{key: opened[case.subject, case.threads][key] for key in ("engine", "engine_version")},
                "threads": case.threads,
                "workload": case.workload,
                "cold_start_seconds": cold[case.subject, case.threads],
                "load_seconds": opened[case.subject, case.threads]["load_seconds"],
                "peak_bytes": peaks[case.subject, case.threads],
                "latency": {**asdict(summarise(case.seconds)), "seconds": case.seconds},
                "per_second": len(case.seconds) / sum(case.seconds),
                "doubts": doubts(case.seconds) + _other_work(device),
            }
            for case in cases
        ],
        "comparisons": list(_comparisons(cases, subjects, settings.versus)),
    }
    schemas.validate(document, "results")
    return document


def _subjects(bundles: Sequence[Path], versus: Path | None) -> dict[str, Path]:
    """Folders by name."""
    subjects: dict[str, Path] = {}
    for folder in [*bundles, *([versus] if versus else [])]:
        name = folder.resolve().name
        if name in subjects and subjects[name].resolve() != folder.resolve():
            raise UsageError(
                f"two bundles are called {name}; rename one folder, so that results tell them apart"
            )
        subjects[name] = folder
    return subjects


def _jobs(
    subjects: dict[str, Path], manifests: dict[str, Manifest], settings: Settings
) -> Iterator[tuple[tuple[str, int], Job]]:
    """By bundle and threads; PyTorch's are named after what they run."""
    for name, folder in subjects.items():
        known = manifests[name].lengths
        # A file that takes any batch takes any length up to its longest, too.
        dynamic = any("batch" in spec.shape for spec in manifests[name].inputs)
        fitting = tuple(
            length for length in settings.lengths if length in known or (dynamic and length <= max(known))
        )
        if not fitting and not settings.texts:
            raise UsageError(
                f"{name} has none of the lengths {', '.join(map(str, settings.lengths))}; "
                f"give --lengths with some of {', '.join(map(str, known))}"
            )
        for threads in settings.threads:
            cache = str(settings.cache_dir) if settings.cache_dir else None
            texts = _texts() if settings.texts else ()
            yield (
                (name, threads),
                Job(str(folder), settings.engine, None, threads, fitting, texts, cache),
            )
    if settings.reference:
        first, folder = next(iter(subjects.items()))
        for threads in settings.threads:
            lengths = tuple(length for length in settings.lengths if length <= max(manifests[first].lengths))
            texts = _texts() if settings.texts else ()
            yield (
                (settings.reference, threads),
                Job(str(folder), None, settings.reference, threads, lengths, texts),
            )


def _texts() -> tuple[str, ...]:
    """Sentences of the exporter's parity texts, spread over them."""
    lines = resources.files("bertmobile_export.texts").joinpath("parity.txt").read_text("utf-8").splitlines()
    return tuple(lines[index * len(lines) // TEXT_COUNT] for index in range(TEXT_COUNT))


def _workloads(job: Job) -> list[str]:
    return [*map(str, job.lengths), *([TEXTS] if job.texts else [])]


def _run(cases: Sequence[_Case], settings: Settings, progress: Progress) -> None:
    """Warm every case up, then give all of them turns until the last has had enough."""
    for case in cases:
        case.take_turn()
    for case in cases:
        case.take_turn()
        del case.rounds[0]
    started = time.monotonic()
    total = max(1, round(settings.seconds * len(cases)))
    while waiting := [case for case in cases if not _enough(case, settings)]:
        # All cases have a turn, so that those that are compared have the same rounds.
        for case in cases:
            case.take_turn()
        progress(
            f"Measuring, {len(waiting)} cases left", min(round(time.monotonic() - started), total), total
        )


def _enough(case: _Case, settings: Settings) -> bool:
    return len(case.seconds) >= settings.runs and sum(case.seconds) >= settings.seconds


def _other_work(device: dict[str, Any]) -> list[str]:
    load = device["load_average"]
    return [f"other work: a load of {load:.1f} before"] if load is not None and load > BUSY else []


def _bundle(name: str, folder: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "name": name,
        "sha256": sha256_file(folder / MANIFEST),
        "target": manifest.target,
        "task": manifest.task,
        "recipe": manifest.recipe["name"],
        "verdict": manifest.verdict,
        "model_bytes": manifest.model_bytes,
        "bytes": sum(entry.bytes for entry in manifest.files.values()),
        "compressed_bytes": sum(_compressed(folder / listed) for listed in manifest.files),
    }


def _compressed(path: Path) -> int:
    """Bytes of a file after deflate, as archives of apps use it."""
    compressor, size = zlib.compressobj(6), 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            size += len(compressor.compress(piece))
    return size + len(compressor.flush())


def _comparisons(
    cases: Sequence[_Case], subjects: dict[str, Path], versus: Path | None
) -> Iterator[dict[str, Any]]:
    """Of every case with the same case of ``versus``, round by round."""
    if versus is None:
        return
    name = versus.resolve().name
    others = {(case.threads, case.workload): case for case in cases if case.subject == name}
    for case in cases:
        other = others.get((case.threads, case.workload))
        if case.subject == name or other is None:
            continue
        value, interval = ratio(
            [median(turn) for turn in case.rounds], [median(turn) for turn in other.rounds]
        )
        yield {
            "bundle": case.subject,
            "versus": name,
            "threads": case.threads,
            "workload": case.workload,
            "ratio": value,
            "interval": list(interval) if interval else None,
        }
