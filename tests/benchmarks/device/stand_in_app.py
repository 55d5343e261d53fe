"""Does what docs/device-protocol.md asks of the app, on this machine: ``python -m ... TEMPORARY JOB``."""

import json
import sys
import time
from pathlib import Path

from bertmobile import load
from bertmobile_bench.device.cases import Sample, read_cases, write_cases
from tests.benchmarks.device.fake_device import TEMPORARY


def main(temporary: str, path: str) -> None:
    def local(name: str) -> Path:
        return Path(name.replace(TEMPORARY, temporary))

    job = json.loads(local(path).read_text())
    results = local(job["results"])
    results.mkdir(parents=True)
    found = []
    for number, each in enumerate(job["bundles"]):
        with load(local(each["path"]), threads=job["threads"], allow_unverified=True) as model:
            inputs = read_cases(local(each["inputs"]))[0].tensors
            seconds = []
            for _ in range(job["runs"]):
                before = time.perf_counter()
                model.run(inputs)
                seconds.append(time.perf_counter() - before)
            answers = [
                Sample(case.signature, model.run(case.tensors)) for case in read_cases(local(each["golden"]))
            ]
        write_cases(results / f"{number}.answers", answers)
        known = {
            "engine": model.manifest.target,
            "engine_version": "1",
            "engine_bytes": 2,
            "load_seconds": 0.5,
        }
        found.append(
            {
                **known,
                "name": each["name"],
                "cold_start_seconds": None,
                "peak_bytes": 3,
                "rounds": [seconds],
                "answers": f"{number}.answers",
            }
        )
    partial = results / "partial"
    partial.write_text(json.dumps({"schema_version": 1, "bundles": found}))
    partial.rename(results / "result.json")


if __name__ == "__main__":
    main(*sys.argv[1:])
