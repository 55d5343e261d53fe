"""ONNX against optimum-onnx: its export and 8-bit quantization, in an environment of its own."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from bertmobile import load
from bertmobile_bench.figures.common import Bench, Figure, latency_ratio, masked_sentences, sentences
from bertmobile_bench.processes import Run, interleaved, paired_ratio, run

FULL_LENGTH = 128


def wall_and_peak(bench: Bench) -> Iterator[Figure]:
    """The whole command with parity against two commands without."""
    model = bench.eight_layers()
    results = interleaved(
        {
            "ours": lambda: [_ours(bench)[1]],
            "optimum": lambda: _optimum(bench, model, "fill-mask")[1],
        },
        bench.repetitions,
    )
    wall = {name: [sum(r.seconds for r in runs) for runs in rows] for name, rows in results.items()}
    peak = {name: [max(r.peak_bytes for r in runs) for runs in rows] for name, rows in results.items()}
    for name in results:
        click.echo(f"  {name}: {median(wall[name]):.1f} s, {median(peak[name]) / 1e6:.0f} MB", err=True)
    yield Figure(
        "ONNX wall time with parity / optimum's without",
        paired_ratio(wall["ours"], wall["optimum"]),
        0.9,
        0.6,
        "x",
    )
    yield Figure("ONNX peak memory / optimum's", paired_ratio(peak["ours"], peak["optimum"]), 1.0, 0.8, "x")


def size(bench: Bench) -> Iterator[Figure]:
    """The file that ships."""
    bytes_ = (_ours(bench)[0] / "model.onnx").stat().st_size
    yield Figure("ONNX 8L/512H fill-mask int8", bytes_ / 1e6, 43.5, 42, "MB")


def latency(bench: Bench) -> Iterator[Figure]:
    """Our int8 files against optimum's, one thread."""
    model = bench.eight_layers()
    theirs = _session(_optimum(bench, model, "fill-mask")[0])
    bundle, _ = _ours(bench)
    with load(bundle) as ours:
        mask = ours.manifest.tokenizer.special_tokens["mask"]
        pairs = []
        for sentence in masked_sentences(200, mask.token):
            inputs = ours.encode(sentence).inputs
            position = int(np.argmax(inputs["input_ids"][0] == mask.id))
            slots = np.array([[position] + [0] * ((ours.manifest.mask_slots or 1) - 1)])
            pairs.append(
                (partial(ours.run, {**inputs, "mask_positions": slots}), partial(theirs.run, None, inputs))
            )
        yield _faster("fill-mask, 200 sentences", latency_ratio(pairs, bench.repetitions), 1.25, 1.5)
    bundle, _ = _ours(bench, "--full-logits")
    with load(bundle) as ours:
        text = " ".join(sentences(40))
        inputs = {name: values[:, :FULL_LENGTH] for name, values in ours.encode(text).inputs.items()}
        pairs = [(partial(ours.run, inputs), partial(theirs.run, None, inputs))] * 20
        ratio = latency_ratio(pairs, bench.repetitions)
        yield Figure(f"ONNX full logits, {FULL_LENGTH} tokens: ours / optimum's", 1 / ratio, 1.1, 1.0, "x")
    task = "text-classification"
    model = bench.eight_layers(task)
    theirs = _session(_optimum(bench, model, task)[0])
    bundle, _ = _ours(bench, task=task)
    with load(bundle) as ours:
        pairs = []
        for sentence in sentences(200):
            inputs = ours.encode(sentence).inputs
            pairs.append((partial(ours.run, inputs), partial(theirs.run, None, inputs)))
        yield _faster(
            "text-classification, 200 sentences", latency_ratio(pairs, bench.repetitions), 1.05, 1.2
        )


def _faster(what: str, ratio: float, must: float, aim: float) -> Figure:
    return Figure(f"ONNX int8 latency, optimum's file / ours, {what}", ratio, must, aim, "x faster", True)


def _ours(bench: Bench, *options: str, task: str = "fill-mask") -> tuple[Path, Run]:
    model = ("--model", str(bench.eight_layers(task)), "--int8", "--untrained")
    return bench.export("onnx", *model, *options, target="onnx")


def _optimum(bench: Bench, model: Path, task: str) -> tuple[Path, list[Run]]:
    """Optimum's int8 file, and its two processes."""
    assert bench.optimum is not None
    command = str(bench.optimum / "bin" / "optimum-cli")
    plain, quantized = bench.folder / f"optimum-{task}", bench.folder / f"optimum-int8-{task}"
    exported = run([command, "export", "onnx", "--model", str(model), "--task", task, str(plain)])
    options = ("--arm64", "--per_channel", "--onnx_model", str(plain), "-o", str(quantized))
    return quantized / "model_quantized.onnx", [exported, run([command, "onnxruntime", "quantize", *options])]


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
