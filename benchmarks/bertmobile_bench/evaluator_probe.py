"""A process that times the ML Program evaluator beside eager PyTorch, on one thread each.

Usage: python -m bertmobile_bench.evaluator_probe BUNDLE CHECKPOINT

Prints JSON: ``ratio``, the median of paired ratios of a float32 forward pass.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy reads it when it is imported

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from bertmobile.engines import open_engine
from bertmobile.manifest import read_manifest
from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.network import build_network

LENGTH = 128
RUNS = 25


def main(bundle: Path, checkpoint: str) -> None:
    torch.set_num_threads(1)
    manifest = read_manifest(bundle)
    source = load_checkpoint(checkpoint, task=manifest.task)
    network = build_network(source.config, source.task, source.network_state)
    engine = open_engine(bundle, manifest, engine="mlprogram-evaluator-fp32")
    inputs = {
        spec.name: np.ones([size if isinstance(size, int) else LENGTH for size in spec.shape], spec.dtype)
        for spec in manifest.inputs
    }
    tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}

    def seconds(call: Callable[[], object]) -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    with torch.inference_mode():
        ratios = [
            seconds(lambda: engine.run(inputs)) / seconds(lambda: network(**tensors)) for _ in range(RUNS)
        ]
    print(json.dumps({"ratio": median(ratios)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
