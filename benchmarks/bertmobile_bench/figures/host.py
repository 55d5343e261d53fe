"""What ``bertmobile-bench host`` adds to the latency that a bare loop measures."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bertmobile_bench.figures.common import Bench, Figure
from bertmobile_bench.host.measure import Settings, measure
from bertmobile_bench.processes import interleaved, paired_ratio, python

SECONDS = 5.0


def overhead(bench: Bench) -> Iterator[Figure]:
    """Medians of MiniLM with 8 bits on one thread, in turns."""
    model = ("--model", str(bench.minilm), "--int8")
    bundle, _ = bench.export("host-overhead", *model, target="onnx")
    for tokens in (32, 128):
        calls = {"hosted": partial(_hosted, bundle, tokens), "bare": partial(_bare, bundle, tokens)}
        found = interleaved(calls, 3 * bench.repetitions)
        ratio = paired_ratio(found["hosted"], found["bare"])
        yield Figure(f"host / a bare loop, {tokens} tokens", ratio, 1.02, unit="x")


def _hosted(bundle: Path, tokens: int) -> float:
    settings = Settings(threads=(1,), lengths=(tokens,), texts=False, seconds=SECONDS)
    (result,) = measure([bundle], settings)["results"]
    return float(result["latency"]["p50"])


def _bare(bundle: Path, tokens: int) -> float:
    arguments = (str(bundle), str(tokens), str(SECONDS))
    return float(python("-m", "bertmobile_bench.plain_loop", *arguments).stdout)
