"""What 8 bits cost on real weights: MiniLM's sentence vectors, with and without equalisation."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertmobile import Model, load
from bertmobile_bench.figures.common import Bench, Figure, latency_ratio, sentences
from bertmobile_export import bundle as bundles
from bertmobile_export.checkpoint import Checkpoint, load_checkpoint
from bertmobile_export.export import Request, make_plan
from bertmobile_export.model_file import prepare, write_model
from bertmobile_export.network import build_network
from bertmobile_export.parity.reference import load_reference
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.recipes import read_recipe, within
from bertmobile_export.targets import Target
from bertmobile_export.texts import builtin_texts

COUNT = 300
# 15.2 % of MiniLM in float32, as 25 MB are of the model card's.
MIXED_BYTES = 13_800_000
# Target and recipe, and the bounds of the mean and the worst cosine.
CASES: tuple[tuple[str, str, tuple[float, float] | None, tuple[float, float] | None], ...] = (
    ("tflite", "int8", (0.9985, 0.9965), (0.999, 0.998)),
    ("onnx", "int8", (0.9975, 0.995), (0.999, 0.998)),
    ("coreml", "int8", (0.9995, 0.999), None),
    ("coreml", "int8-static", (0.997, 0.993), None),
    ("onnx", "int8-static", None, None),
    ("tflite", "int8-static", None, None),
    *((target, "int4", None, None) for target in ("tflite", "onnx", "coreml")),
    ("tflite", "mixed", (0.985, 0.970), (0.992, 0.985)),
    ("onnx", "mixed", (0.985, 0.970), (0.992, 0.985)),
    ("coreml", "mixed", (0.995, 0.988), (0.998, 0.995)),
)


def quality(bench: Bench) -> Iterator[Figure]:
    """Cosines of the vectors of sentences that calibration shares nothing with."""
    logging.disable(logging.WARNING)  # coremltools' and the converter's
    texts = sentences(COUNT)
    reference = _reference(bench, texts)
    checkpoint = load_checkpoint(str(bench.minilm))
    for target, recipe, must, aim in CASES:
        name = f"MiniLM {target} {recipe}"
        with_scales = _write(bench, checkpoint, target, recipe, equalised=True)
        mean, worst = _cosines(with_scales, texts, reference)
        for which, value, index in (("mean", mean, 0), ("worst", worst, 1)):
            bounds = (must[index] if must else None, aim[index] if aim else None)
            yield Figure(f"{name}, {which} cosine of {COUNT} sentences", value, *bounds, at_least=True)
        if not _equalises(bench, checkpoint, target, recipe):
            continue
        without = _write(bench, checkpoint, target, recipe, equalised=False)
        for which, value in zip(("mean", "worst"), _cosines(without, texts, reference), strict=True):
            yield Figure(f"{name} without equalisation, {which}", value)
        if target != "coreml":
            yield Figure(
                f"{name}, latency with / without equalisation", _cost(bench, with_scales, without, texts)
            )


def _reference(bench: Bench, texts: list[str]) -> NDArray[np.float32]:
    """PyTorch's vectors, [sentences, hidden]."""
    checkpoint = load_checkpoint(str(bench.minilm))
    model = load_reference(bench.minilm, checkpoint.config, checkpoint.task)
    rows = []
    for text in texts:
        ids = np.array([model.token_ids(text, None, 256)])
        rows.append(model.run(ids, np.zeros_like(ids))["sentence_embedding"][0])
    return np.array(rows)


def _planned(bench: Bench, checkpoint: Checkpoint, target: str, recipe: str) -> tuple[Plan, Target]:
    chosen = read_recipe(recipe)
    if chosen.budget is not None:
        chosen = within(chosen, MIXED_BYTES)
    request = Request(str(bench.minilm), target, chosen)
    return make_plan(request, checkpoint.location.model, checkpoint.config)


def _equalises(bench: Bench, checkpoint: Checkpoint, target: str, recipe: str) -> bool:
    plan, writer = _planned(bench, checkpoint, target, recipe)
    return writer.quantized_activations(plan) is not None


def _write(bench: Bench, checkpoint: Checkpoint, target: str, recipe: str, *, equalised: bool) -> Path:
    """A bundle whose parity is not judged."""
    from tokenizers import Tokenizer

    folder = bench.folder / f"minilm-{recipe}-{'with' if equalised else 'without'}.{target}"
    folder.mkdir()
    plan, writer = _planned(bench, checkpoint, target, recipe)
    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)
    texts = builtin_texts(
        "calibration", plan.task, tokenizer, plan.lengths, mask_token="[MASK]", mask_slots=None
    )
    if equalised:
        plan, _ = write_model(plan, writer, checkpoint, texts, folder)
    else:
        _, samples = prepare(plan, writer, checkpoint, texts)
        network = build_network(plan.config, plan.task, checkpoint.network_state)
        quantize_weights(network, plan.recipe, samples, affine=writer.affine(plan))
        writer.write(plan, network, samples, folder / writer.model_file(plan), checkpoint.tokenizer)
    manifest = bundles.draft_manifest(plan, checkpoint, writer)
    bundles.write_source_files(folder, checkpoint, manifest)
    bundles.write_manifest(folder, manifest)
    return folder


def _cosines(bundle: Path, texts: list[str], reference: NDArray[np.float32]) -> tuple[float, float]:
    with _opened(bundle) as model:
        vectors = model.embed(texts)
    cosines = (vectors * reference).sum(axis=1) / (
        np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    )
    return float(cosines.mean()), float(cosines.min())


def _opened(bundle: Path) -> Model:
    return load(bundle, verify=False, allow_unverified=True)


def _cost(bench: Bench, with_scales: Path, without: Path, texts: list[str]) -> float:
    with _opened(with_scales) as first, _opened(without) as second:
        pairs = []
        for text in texts[:100]:
            inputs = first.encode(text).inputs
            pairs.append((partial(second.run, inputs), partial(first.run, inputs)))
        return latency_ratio(pairs, 5 * bench.repetitions)
