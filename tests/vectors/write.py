"""Write the vectors and the Unicode tables: ``python -m tests.vectors.write``."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from bertmobile_bench.latency import summarise
from tests.vectors import task_cases, text_cases, unicode_tables
from tests.vectors.bundle import bundle
from tests.vectors.tokenizers import large_vocabulary, small_vocabulary, tokenizers

ROOT = Path(__file__).parents[2]
VECTORS = Path(__file__).parent / "data"
TABLES = ROOT / "mobile_demo_android/core/src/main/resources/org/bertmobile/core/unicode.txt"


def documents() -> dict[Path, str]:
    """Every generated file with its content."""
    large, small = large_vocabulary(text for _, text in text_cases.all_texts()), small_vocabulary()
    by_text, by_task = tokenizers(large), tokenizers(small)
    files = {
        TABLES: unicode_tables.document(),
        VECTORS / "vocab.txt": _lines(large),
        VECTORS / "small-vocab.txt": _lines(small),
        VECTORS / "rules.json": _json({name: asdict(spec) for name, (spec, _) in by_text.items()}),
    }
    for cases in text_cases.KINDS:
        files[VECTORS / f"{cases.__name__}.jsonl"] = _lines(map(_json, cases(by_text)))
    files[VECTORS / "tasks.jsonl"] = _lines(map(_json, task_cases.tasks(by_task)))
    files[VECTORS / "latencies.jsonl"] = _lines(map(_json, _latencies()))
    for name, text in bundle(by_task, small).items():
        files[VECTORS / "bundle" / name] = text
    return files


def write() -> None:
    """Write every file anew."""
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def _latencies() -> Iterable[dict[str, Any]]:
    random = Random(7)
    for count in (1, 2, 3, 10, 999, 1000):
        seconds = [round(random.lognormvariate(-4, 0.5), 5) for _ in range(count)]
        yield {"seconds": seconds, **vars(summarise(seconds))}


# ASCII only: no editor and no transfer changes what has no other spelling.
_json = partial(json.dumps, separators=(",", ":"))


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    write()
