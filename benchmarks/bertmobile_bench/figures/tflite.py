"""TFLite against the plain script of :mod:`bertmobile_bench.plain_tflite`."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from bertmobile.bundle import sha256_file
from bertmobile.manifest import FileEntry, TensorSpec, read_manifest
from bertmobile_bench.figures.common import Bench, Figure, latency_ratio, masked_sentences
from bertmobile_bench.processes import interleaved, paired_ratio, python

PLAIN_LENGTH = 128


def _plain(bench: Bench) -> tuple[Path, Any]:
    path = bench.folder / "plain.tflite"
    finished = python(
        "-m", "bertmobile_bench.plain_tflite", str(bench.eight_layers()), str(PLAIN_LENGTH), str(path)
    )
    return path, finished


def wall_and_peak(bench: Bench) -> Iterator[Figure]:
    """The whole command against the plain script."""
    model = ("--model", str(bench.eight_layers()), "--int8", "--untrained")
    results = interleaved(
        {
            "plain": lambda: _plain(bench)[1],
            "one": lambda: bench.export("one", *model, "--seq-len", str(PLAIN_LENGTH))[1],
            "four": lambda: bench.export("four", *model)[1],
        },
        bench.repetitions,
    )
    plain = [r.seconds for r in results["plain"]]
    click.echo(
        "  seconds: "
        + ", ".join(f"{name} {median(r.seconds for r in runs):.1f}" for name, runs in results.items())
        + f"; plain script's peak {median(r.peak_bytes for r in results['plain']) / 1e9:.2f} GB",
        err=True,
    )
    yield Figure(
        "wall time, one length / plain script",
        paired_ratio([r.seconds for r in results["one"]], plain),
        1.5,
        1.1,
        "x",
    )
    yield Figure(
        "wall time, four lengths / plain script",
        paired_ratio([r.seconds for r in results["four"]], plain),
        2.5,
        1.7,
        "x",
    )
    yield Figure(
        "peak memory of the export, four lengths",
        median(r.peak_bytes for r in results["four"]) / 1e9,
        1.7,
        1.3,
        "GB",
    )


def _plain_bundle(bench: Bench) -> Path:
    """The plain script's file with a manifest, so that the same engine code runs both."""
    path, _ = _plain(bench)
    manifest = read_manifest(_four(bench))
    folder = bench.folder / "plain-bundle"
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / "model.tflite")
    inputs = tuple(spec for spec in manifest.inputs if spec.name != "mask_positions")
    outputs = (TensorSpec("logits", "float32", (1, "length", 30522)),)
    plain = replace(
        manifest,
        lengths=(PLAIN_LENGTH,),
        signatures={PLAIN_LENGTH: "serving_default"},
        inputs=inputs,
        outputs=outputs,
        mask_slots=None,
        files={"model.tflite": FileEntry(sha256_file(path), path.stat().st_size)},
    )
    (folder / "manifest.json").write_text(json.dumps(plain.to_json()), encoding="utf-8")
    return folder


def _four(bench: Bench) -> Path:
    made = list((bench.folder / "four").glob("*.tflite"))
    return (
        made[0]
        if made
        else bench.export("four", "--model", str(bench.eight_layers()), "--int8", "--untrained")[0]
    )


def size(bench: Bench) -> Iterator[Figure]:
    """The file that ships."""
    bytes_ = (_four(bench) / "model.tflite").stat().st_size
    yield Figure("8L/512H fill-mask int8, four buckets", bytes_ / 1e6, 46, 43, "MB")


def memory_and_load(bench: Bench) -> Iterator[Figure]:
    """With a warm weight cache against without one."""
    four, plain = str(_four(bench)), str(_plain_bundle(bench))
    cache = bench.folder / "cache"

    def probe(*arguments: str) -> Any:
        return json.loads(python("-m", "bertmobile_bench.engine_probe", *arguments).stdout)

    probe(four, str(cache))
    results = interleaved(
        {
            "warm": lambda: probe(four, str(cache)),
            "cold": lambda: probe(four),
            "plain": lambda: probe(plain),
        },
        5 * bench.repetitions,
    )

    def column(case: str, key: str) -> list[float]:
        return [row[key] for row in results[case]]

    click.echo(
        "  "
        + "; ".join(
            f"{case}: load {median(column(case, 'load_seconds')):.3f} s, "
            f"resident {median(column(case, 'resident_bytes')) / 1e6:.0f} MB"
            for case in results
        ),
        err=True,
    )
    yield Figure(
        "resident memory, four buckets with cache / one-bucket file without",
        paired_ratio(column("warm", "resident_bytes"), column("plain", "resident_bytes")),
        0.9,
        0.75,
        "x",
    )
    yield Figure(
        "load time, warm cache / none",
        paired_ratio(column("warm", "load_seconds"), column("cold", "load_seconds")),
        0.2,
        0.05,
        "x",
    )


def latency(bench: Bench) -> Iterator[Figure]:
    """200 sentences with one mask each, through the runtime's buckets and through the plain file."""
    from bertmobile.engines import open_engine
    from bertmobile.tokenization import Tokenization

    four, plain_folder = _four(bench), _plain_bundle(bench)
    manifest, plain_manifest = read_manifest(four), read_manifest(plain_folder)
    tokenization = Tokenization.open(four, manifest)
    mask = manifest.tokenizer.special_tokens["mask"]
    ours, plain = open_engine(four, manifest), open_engine(plain_folder, plain_manifest)
    pairs = []
    for sentence in masked_sentences(200, mask.token):
        encoded = tokenization.encode(sentence)
        position = encoded.ids.index(mask.id)
        slots = np.array([[position] + [0] * ((manifest.mask_slots or 1) - 1)], np.int32)
        bucketed = {**encoded.inputs, "mask_positions": slots}
        bucket = encoded.inputs["input_ids"].shape[1]
        padded = {
            name: np.pad(values, ((0, 0), (0, PLAIN_LENGTH - bucket)))[:, :PLAIN_LENGTH]
            for name, values in encoded.inputs.items()
        }
        pairs.append((partial(ours.run, bucketed), partial(plain.run, padded)))
    yield Figure(
        "fill-mask latency, plain script's file / ours, 200 sentences",
        latency_ratio(pairs, bench.repetitions),
        3.5,
        5.0,
        "x faster",
        at_least=True,
    )
