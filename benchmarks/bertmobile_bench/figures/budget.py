"""25 MB for the model of the card: whether a file keeps within them, how long it takes, how fast it is."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from bertmobile import load
from bertmobile_bench.figures.common import Bench, Figure, latency_ratio

LIMIT = 25_000_000
TOKENS = 128
# Core ML has no engine here that its latency could be measured with.
TIMED = ("onnx", "tflite")


def export(bench: Bench) -> Iterator[Figure]:
    """Each target with the default lengths; the weights are random, and only sizes and times count."""
    for target in ("onnx", "tflite", "coreml"):
        for effort, seconds in (("standard", 360), ("high", 2_400)):
            model = str(bench.eight_layers())
            options = ("--model", model, "--untrained", "--max-size", f"{LIMIT}B", "--effort", effort)
            bundle, finished = bench.export(f"budget-{effort}", *options, target=target)
            files = [path for path in bundle.glob("model.*/**/*") if path.is_file()]
            files += [path for path in bundle.glob("model.*") if path.is_file()]
            size = sum(path.stat().st_size for path in files)
            what = f"{target} 8L/512H --max-size 25MB, {effort} effort"
            yield Figure(f"{what}: model file", size, LIMIT, unit="bytes")
            yield Figure(f"{what}: time with parity", finished.seconds, seconds, seconds / 2, "s")
            yield Figure(f"{what}: peak memory", finished.peak_bytes / 1e9, 3, unit="GB")


def latency(bench: Bench) -> Iterator[Figure]:
    """One thread, one text."""
    for target in TIMED:
        model = ("--model", str(bench.eight_layers()), "--untrained", "--seq-len", str(TOKENS))
        recipes = {"mixed": ("--max-size", f"{LIMIT}B"), "float32": (), "int8": ("--int8",)}
        bundles = {
            name: bench.export(f"latency-{name}", *model, *options, target=target)[0]
            for name, options in recipes.items()
        }
        with load(bundles["mixed"]) as mixed, load(bundles["float32"]) as wide, load(bundles["int8"]) as int8:
            text = " ".join(["word"] * (TOKENS - 3)) + mixed.manifest.tokenizer.special_tokens["mask"].token
            inputs = mixed.encode(text).inputs
            slots = np.full((1, mixed.manifest.mask_slots or 1), TOKENS - 2)
            inputs = {**inputs, "mask_positions": slots.astype(inputs["input_ids"].dtype)}
            for name, other, must, aim in (("float32", wide, 1.0, None), ("int8", int8, None, 1.0)):
                pairs = [(partial(mixed.run, inputs), partial(other.run, inputs))]
                ratio = 1 / latency_ratio(pairs, 20 * bench.repetitions)
                yield Figure(f"{target} 8L/512H, {TOKENS} tokens: mixed / {name}", ratio, must, aim, "x")
