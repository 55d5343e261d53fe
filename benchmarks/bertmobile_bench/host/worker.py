"""A process that holds one model and runs it when told to, so that models share neither memory nor threads.

Usage: python -m bertmobile_bench.host.worker JSON

The argument says what to open (see :class:`Job`). The process answers each line on stdin, ``WORKLOAD COUNT``,
with a JSON list of so many latencies in seconds, and ends with its stdin.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from bertmobile.model import load
from bertmobile.tokenization import Tokenization
from bertmobile_bench.workers import PEAK
from bertmobile_bench.workloads import TEXTS, random_inputs, text_inputs

Run = Callable[[], object]


@dataclass(frozen=True)
class Job:
    """What a worker opens.

    Attributes:
        bundle: its inputs are run, whatever runs them.
        engine: of the runtime; None for the target's own.
        reference: a checkpoint folder that PyTorch runs instead of the bundle.
        threads: CPU threads.
        lengths: a workload of random tokens for each.
        texts: of the workload ``texts``, in turn.
        cache_dir: for the engine's caches.
    """

    bundle: str
    engine: str | None
    reference: str | None
    threads: int
    lengths: tuple[int, ...]
    texts: tuple[str, ...]
    cache_dir: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def main(job: Job) -> None:
    started = time.perf_counter()
    runs = _reference_runs(job) if job.reference else _bundle_runs(job)
    opened = next(runs)
    load_seconds = time.perf_counter() - started
    workloads: dict[str, Iterator[Run]] = {name: cycle(each) for name, each in next(runs).items()}
    next(workloads[next(iter(workloads))])()
    print(json.dumps({**opened, "load_seconds": load_seconds}), flush=True)
    for line in sys.stdin:
        name, count = line.split()
        if name == PEAK:
            print(json.dumps([_peak_bytes()]), flush=True)
            continue
        seconds = []
        for _ in range(int(count)):
            call = next(workloads[name])
            before = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - before)
        print(json.dumps(seconds), flush=True)


def _bundle_runs(job: Job) -> Iterator[Any]:
    """First who runs the bundle, then the runs of each workload."""
    model = load(
        job.bundle, engine=job.engine, threads=job.threads, cache_dir=job.cache_dir, allow_unverified=True
    )
    name, version = model.engine
    yield {"engine": name, "engine_version": version}

    def bound(inputs: dict[str, Any]) -> Run:
        return lambda: model.run(inputs)

    manifest = model.manifest
    runs = {str(length): [bound(random_inputs(manifest, length))] for length in job.lengths}
    if job.texts:
        tokenization = Tokenization.open(Path(job.bundle), manifest)
        runs[TEXTS] = [bound(text_inputs(manifest, tokenization, text)) for text in job.texts]
    yield runs


def _reference_runs(job: Job) -> Iterator[Any]:
    """The same for PyTorch, which pads nothing."""
    import torch

    from bertmobile.manifest import read_manifest
    from bertmobile_export.checkpoint import load_checkpoint
    from bertmobile_export.parity.reference import load_reference

    torch.set_num_threads(job.threads)
    manifest = read_manifest(Path(job.bundle))
    assert job.reference is not None
    checkpoint = load_checkpoint(job.reference, task=manifest.task)
    model = load_reference(Path(job.reference), checkpoint.config, manifest.task)
    yield {"engine": "pytorch", "engine_version": torch.__version__}
    positions = [0] * manifest.mask_slots if manifest.mask_slots else None

    def bound(ids: Any) -> Run:
        return lambda: model.run(ids, np.zeros_like(ids), positions)

    runs = {str(length): [bound(random_inputs(manifest, length)["input_ids"])] for length in job.lengths}
    if job.texts:
        longest = max(manifest.lengths)
        runs[TEXTS] = [bound(np.array([model.token_ids(text, None, longest)])) for text in job.texts]
    yield runs


def _peak_bytes() -> int:
    # getrusage counts what the process had before it became this program.
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


if __name__ == "__main__":
    fields = json.loads(sys.argv[1])
    main(Job(**{**fields, "lengths": tuple(fields["lengths"]), "texts": tuple(fields["texts"])}))
