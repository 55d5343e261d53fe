"""A bare loop around ONNX Runtime, to compare ``bertmobile-bench host`` with.

Usage: python -m bertmobile_bench.plain_loop BUNDLE TOKENS SECONDS

Prints the median latency in seconds.
"""

import sys
import time
from pathlib import Path
from statistics import median

import onnxruntime

from bertmobile.manifest import read_manifest
from bertmobile_bench.workloads import random_inputs


def main(bundle: Path, tokens: int, seconds: float) -> None:
    manifest = read_manifest(bundle)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(bundle / manifest.model_file), options, providers=["CPUExecutionProvider"]
    )
    inputs = random_inputs(manifest, tokens)
    latencies = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        session.run(None, inputs)
        latencies.append(time.perf_counter() - before)
    print(median(latencies))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
