"""Made-up documents of the schema ``results``, for tests of what is made of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bertmobile_bench.latency import doubts, summarise

READINGS: dict[str, Any] = {
    "governor": "schedutil",
    "frequency_khz": 1_803_000,
    "load_average": 0.1,
    "temperature_celsius": 31.0,
    "battery_percent": 81,
    "thermal_status": 0,
    "screen_on": False,
}


def device(name: str | None = "Pixel 8", **more: Any) -> dict[str, Any]:
    """A phone; ``after`` is warmer."""
    return {
        "kind": "adb",
        "serial": "3A1B2C",
        "name": name,
        "fingerprint": "google/shiba/shiba:15/AP4A/1:user/release-keys",
        "os": "android",
        "os_version": "15",
        "machine": "arm64-v8a",
        "cpu": "Tensor G3",
        "cores": 9,
        "memory_bytes": 8_000_000_000,
        "emulated": False,
        "fixed_performance": True,
        **READINGS,
        "after": {**READINGS, "temperature_celsius": 38.5, "thermal_status": 1},
        **more,
    }


def emulator(**more: Any) -> dict[str, Any]:
    """A device of which little is known."""
    unknown = dict.fromkeys(READINGS)
    given = {"serial": "emulator-5554", "emulated": True, "fixed_performance": None, "cpu": None, "after": {}}
    return device("sdk_gphone64_x86_64", **{**unknown, **given, **more})


def host(name: str | None = "workstation", **more: Any) -> dict[str, Any]:
    """A computer."""
    given = {"kind": "host", "serial": None, "fingerprint": None, "os": "linux", "os_version": "6.12"}
    unknown = dict.fromkeys(("battery_percent", "thermal_status", "screen_on", "fixed_performance"))
    return device(name, **{**given, **unknown, "cpu": "Ryzen 7 7700", "cores": 16, **more})


def bundle(name: str = "my-bert-fill-mask-int8.tflite", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "sha256": "a" * 64,
        "target": name.rpartition(".")[2],
        "task": "fill-mask",
        "recipe": "int8",
        "verdict": "passed",
        "cosine": 0.99911,
        "model_bytes": 23_500_000,
        "bytes": 24_300_000,
        "compressed_bytes": 19_100_000,
        **more,
    }


def samples(median: float = 0.012, count: int = 60, seed: int = 0) -> list[float]:
    """Latencies with the long tail that real ones have, in seconds."""
    random = np.random.default_rng(seed)
    return [float(each) for each in median * (0.97 + random.gamma(1.2, 0.03, count))]


def result(of: str = "my-bert-fill-mask-int8.tflite", **more: Any) -> dict[str, Any]:
    """A result with its percentiles; give ``seconds``, or ``mean`` for one that is a summary only."""
    seconds = more.pop("seconds", [] if "mean" in more else samples())
    if seconds:
        latency = {**asdict(summarise(seconds)), "seconds": seconds}
    else:
        latency = {"p50": None, "p90": None, "p99": None, "mean": more.pop("mean"), "seconds": []}
    return {
        "bundle": of,
        "runner": "native",
        "engine": "litert",
        "engine_version": "2.3.0",
        "engine_bytes": 3_400_000,
        "threads": 1,
        "core_mask": None,
        "workload": "128",
        "cold_start_seconds": 0.31,
        "load_seconds": 0.12,
        "peak_bytes": 61_000_000,
        "latency": latency,
        "per_second": 1 / latency["mean"],
        "golden": {"cases": 5, "failed": [], "max_abs": 0.0003},
        "doubts": doubts(seconds) if seconds else [],
        **more,
    }


def comparison(of: str, versus: str, ratio: float) -> dict[str, Any]:
    """On one thread at 128 tokens."""
    interval = [0.95 * ratio, 1.05 * ratio]
    return {
        "bundle": of, "versus": versus, "threads": 1, "workload": "128", "ratio": ratio, "interval": interval,
    }  # fmt: skip


def document(
    results: Sequence[dict[str, Any]] = (),
    *,
    on: dict[str, Any] | None = None,
    bundles: Sequence[dict[str, Any]] | None = None,
    created: str = "2026-03-01T10:00:00+00:00",
    comparisons: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "settings": {"runs": 50, "seconds": 10, "versus": None},
        "created": created,
        "tool": "0.1.0",
        "device": on or device(),
        "bundles": [bundle()] if bundles is None else list(bundles),
        "results": list(results) or [result()],
        "comparisons": list(comparisons),
    }


_NAMES = {
    # Target, recipe: bytes of the model file, seconds of 128 tokens on one thread, cosine.
    ("tflite", "int8"): (23_500_000, 0.021, 0.99911),
    ("tflite", "float32"): (90_300_000, 0.055, 0.999999),
    ("onnx", "int4"): (14_100_000, 0.026, 0.9871),
    ("onnx", "int8"): (23_300_000, 0.024, 0.9962),
}


def phones() -> list[dict[str, Any]]:
    """A matrix on two phones and an emulator, a document for each cell."""
    found = []
    moment = 0
    for on, speed in ((device(), 1.0), (device("Galaxy A15", serial="R9"), 3.1), (emulator(), 5.0)):
        for (target, recipe), (size, median, cosine) in _NAMES.items():
            name = f"my-bert-fill-mask-{recipe}.{target}"
            made = bundle(
                name, sha256=f"{size:064x}", recipe=recipe, model_bytes=size, bytes=size + 800_000,
                compressed_bytes=int(size * 0.8), cosine=cosine,
            )  # fmt: skip
            for threads in (1, 2):
                for workload, share in (("32", 0.3), ("128", 1.0)):
                    moment += 1
                    seconds = samples(speed * share * median / threads**0.7, 1_200, seed=moment)
                    engine = {"engine": "litert" if target == "tflite" else "onnxruntime"}
                    results = [
                        result(name, threads=threads, workload=workload, seconds=seconds, **engine),
                    ]
                    if target == "tflite" and recipe == "int8":
                        results.append(
                            result(
                                name, threads=threads, workload=workload, mean=float(np.mean(seconds)) * 0.96,
                                runner="benchmark_model", golden=None, cold_start_seconds=None,
                            )
                        )  # fmt: skip
                    created = f"2026-03-01T{10 + moment // 60:02d}:{moment % 60:02d}:00+00:00"
                    found.append(document(results, on=on, bundles=[made], created=created))
    return found


def write(path: Path, *documents: dict[str, Any]) -> Path:
    """Write documents as the suffix of ``path`` asks; returns it."""
    path.write_text("".join(json.dumps(each) + "\n" for each in documents), encoding="utf-8")
    return path
