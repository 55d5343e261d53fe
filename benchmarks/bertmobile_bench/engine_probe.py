"""A process that loads a model file, runs its signatures and says what that took.

Usage: python -m bertmobile_bench.engine_probe BUNDLE [CACHE_DIR]

Prints JSON: ``load_seconds``, and ``resident_bytes`` after all buckets have run.
"""

import json
import sys
import time
from pathlib import Path

import ai_edge_litert.compiled_model  # noqa: F401  (imports are not the model's load time)
import numpy as np

import bertmobile.engines.litert  # noqa: F401
from bertmobile.engines import open_engine
from bertmobile.manifest import read_manifest


def main(bundle: Path, cache_dir: Path | None) -> None:
    manifest = read_manifest(bundle)
    started = time.perf_counter()
    engine = open_engine(bundle, manifest, cache_dir=cache_dir)
    load_seconds = time.perf_counter() - started
    for length in manifest.lengths:
        inputs = {
            spec.name: np.ones([size if isinstance(size, int) else length for size in spec.shape], spec.dtype)
            for spec in manifest.inputs
        }
        for _ in range(3):
            engine.run(inputs)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    print(json.dumps({"load_seconds": load_seconds, "resident_bytes": int(resident.split()[1]) * 1024}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
