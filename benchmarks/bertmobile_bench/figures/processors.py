"""Weights of 8 bits as the ONNX target stores them, against uint8, whose products cannot saturate either."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from bertmobile.engines import open_engine
from bertmobile.manifest import read_manifest
from bertmobile_bench import arm64
from bertmobile_bench.device.runners import Installed, workload_inputs
from bertmobile_bench.figures.common import Bench, Figure, latency_ratio
from bertmobile_bench.unsigned import convert
from bertmobile_bench.workloads import random_inputs
from bertmobile_export.parity.cpu import instruction_sets, machine

TOKENS = (16, 32, 128)
RUNS = 40


def storage(bench: Bench) -> Iterator[Figure]:
    """The time of both on this processor, one thread, and their instructions on emulated ones of phones."""
    bundle, _ = bench.export("signed", "--int8", "--model", str(bench.minilm), target="onnx")
    other = bench.folder / "unsigned"
    shutil.copytree(bundle, other)
    convert(bundle / "model.onnx", other / "model.onnx")
    manifest = read_manifest(bundle)
    ours, theirs = (open_engine(folder, manifest) for folder in (bundle, other))
    sets = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if name in instruction_sets()]
    for tokens in TOKENS:
        inputs = random_inputs(manifest, tokens)
        pairs = [(partial(ours.run, inputs), partial(theirs.run, inputs))] * RUNS
        what = f"ONNX int8, {tokens} tokens, {' '.join([machine(), *sets])}: time with uint8 / as written"
        yield Figure(what, latency_ratio(pairs, bench.repetitions), unit="x")
    missing = [tool for tool in (arm64.EMULATOR, "gcc", "aarch64-linux-gnu-gcc") if not shutil.which(tool)]
    if missing:
        click.echo(f"  no instructions of arm64, since {' and '.join(missing)} is missing", err=True)
        return
    runner = arm64.runner(bench.folder)
    samples = workload_inputs(Installed(bundle, "", manifest), "32")
    for cpu in arm64.PROCESSORS:

        def count(folder: Path, cpu: str = cpu) -> float:
            return arm64.instructions(runner, folder / manifest.model_file, samples, cpu, bench.folder)

        signed, unsigned = count(bundle), count(other)
        click.echo(f"  {cpu}: {signed / 1e6:.1f} and {unsigned / 1e6:.1f} million instructions", err=True)
        yield Figure(
            f"ONNX int8, 32 tokens, {cpu}, emulated: instructions with uint8 / as written",
            unsigned / signed,
            unit="x",
        )
