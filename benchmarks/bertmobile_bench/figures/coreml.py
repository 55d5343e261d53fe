"""Core ML packages, and the evaluator that checks them."""

import json
from collections.abc import Iterator

from bertmobile.manifest import read_manifest
from bertmobile_bench.figures.common import Bench, Figure
from bertmobile_bench.processes import python


def size(bench: Bench) -> Iterator[Figure]:
    """The packages that ship."""
    model = ("--model", str(bench.eight_layers()), "--untrained")
    for recipe, must in (("float16", 83.5), ("int8", 42.5)):
        bundle, _ = bench.export("coreml", *model, "--recipe", recipe, target="coreml")
        bytes_ = read_manifest(bundle).model_bytes
        yield Figure(f"Core ML 8L/512H fill-mask {recipe}", bytes_ / 1e6, must, unit="MB")


def evaluator(bench: Bench) -> Iterator[Figure]:
    """One forward pass in float32, against PyTorch."""
    model = str(bench.eight_layers())
    bundle, _ = bench.export("coreml-float32", "--model", model, "--untrained", target="coreml")
    probe = python("-m", "bertmobile_bench.evaluator_probe", str(bundle), model)
    ratio = json.loads(probe.stdout)["ratio"]
    yield Figure("evaluator / eager PyTorch, float32, 128 tokens, one thread", ratio, 4, 2, "x")
