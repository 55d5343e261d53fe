"""Does what docs/device-protocol.md asks of the app, on this machine: ``python -m ... TEMPORARY JOB [LOG]``.

With a log, which it adds to, it does as an app does that cannot write files.
"""

import json
import sys
import time
from pathlib import Path

from bertmobile import load
from bertmobile_bench.device.cases import Sample, read_cases, write_cases
from tests.benchmarks.device.fake_device import TEMPORARY


def main(temporary: str, path: str, log: str | None = None) -> None:
    def local(name: str) -> Path:
        return Path(name.replace(TEMPORARY, temporary))

    job = json.loads(local(path).read_text())
    results = local(job["results"])
    if log is None:
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
        if log is None:
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
                "pss_bytes": 4,
                "thermal_status": 1,
                "rounds": [seconds],
                "answers": f"{number}.answers" if log is None else None,
            }
        )
    document = json.dumps({"schema_version": 1, "bundles": found})
    if log is not None:
        parts = [document[at : at + 100] for at in range(0, len(document), 100)]
        lines = [f"{results.name} {number}/{len(parts)} {part}\n" for number, part in enumerate(parts, 1)]
        with Path(log).open("a") as file:
            file.write("--------- beginning of main\n" + "".join(lines))
        return
    partial = results / "partial"
    partial.write_text(document)
    partial.rename(results / "result.json")


if __name__ == "__main__":
    main(*sys.argv[1:])
