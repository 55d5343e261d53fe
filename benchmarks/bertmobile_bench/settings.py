"""How much is measured, wherever it is."""

from dataclasses import dataclass

from bertmobile_bench.latency import LEAST_RUNS, LEAST_SECONDS
from bertmobile_bench.workloads import LENGTHS


@dataclass(frozen=True)
class Amount:
    """What is run, and how long.

    Attributes:
        threads: each bundle is measured with each number of CPU threads.
        lengths: tokens of a run; those that a bundle does not have are passed over.
        texts: whether sentences are a workload, too.
        runs, seconds: of each case, at least.
    """

    threads: tuple[int, ...] = (1,)
    lengths: tuple[int, ...] = LENGTHS
    texts: bool = True
    runs: int = LEAST_RUNS
    seconds: float = LEAST_SECONDS
