"""How long a user waits for the list of options."""

from collections.abc import Iterator

from bertmobile_bench.figures.common import EXPORT, Bench, Figure
from bertmobile_bench.processes import interleaved, paired_ratio, python, run


def help_time(bench: Bench) -> Iterator[Figure]:
    """How long a user waits for the list of options."""
    results = interleaved(
        {
            "help": lambda: run([EXPORT, "--help"]).seconds,
            "pass": lambda: python("-c", "pass").seconds,
        },
        10 * bench.repetitions,
    )
    yield Figure(
        "bertmobile-export --help / python -c pass",
        paired_ratio(results["help"], results["pass"]),
        10,
        6,
        "x",
    )
