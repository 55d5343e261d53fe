"""What 8 bits cost on real weights: MiniLM's sentence vectors, with and without equalisation."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from bertmobile import Model, load
from bertmobile_bench.figures.common import Bench, Figure, latency_ratio, sentences
from bertmobile_export import bundle as bundles
from bertmobile_export.budget.fit import narrowed
from bertmobile_export.checkpoint import Checkpoint, load_checkpoint
from bertmobile_export.export import Request, make_plan
from bertmobile_export.model_file import write_model
from bertmobile_export.parity.reference import load_reference
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import Recipe, read_recipe, with_effort, within
from bertmobile_export.targets import Target
from bertmobile_export.texts import builtin_texts

COUNT = 300
# 15.2 % of MiniLM in float32, as 25 MB are of the model card's.
MIXED_BYTES = 13_800_000


@dataclass(frozen=True)
class Case:
    """A file to measure, and bounds of the mean and the worst cosine."""

    target: str
    recipe: str
    must: tuple[float, float] | None = None
    aim: tuple[float, float] | None = None
    effort: Literal["high"] | None = None

    @property
    def name(self) -> str:
        return f"{self.target} {self.recipe}" + (f" {self.effort} effort" if self.effort else "")

    @property
    def chosen(self) -> Recipe:
        recipe = read_recipe(self.recipe)
        if recipe.budget is not None:
            recipe = within(recipe, MIXED_BYTES)
        return with_effort(recipe, self.effort) if self.effort else recipe


CASES = (
    Case("tflite", "int8", (0.9985, 0.9965), (0.999, 0.998)),
    Case("onnx", "int8", (0.9975, 0.995), (0.999, 0.998)),
    Case("coreml", "int8", (0.9995, 0.999)),
    Case("coreml", "int8-static", (0.997, 0.993)),
    Case("onnx", "int8-static"),
    Case("tflite", "int8-static"),
    *(Case(target, "int4") for target in ("tflite", "onnx", "coreml")),
    *(Case(target, "mixed", (0.985, 0.970), (0.992, 0.985)) for target in ("tflite", "onnx")),
    *(Case(target, "mixed", (0.990, 0.982), (0.996, 0.990), "high") for target in ("tflite", "onnx")),
    Case("coreml", "mixed", (0.995, 0.988), (0.998, 0.995)),
    Case("coreml", "mixed", effort="high"),
)


def quality(bench: Bench) -> Iterator[Figure]:
    """Cosines of the vectors of sentences that calibration shares nothing with."""
    logging.disable(logging.WARNING)  # coremltools' and the converter's
    texts = sentences(COUNT)
    reference = _reference(bench, texts)
    checkpoint = load_checkpoint(str(bench.minilm))
    for case in CASES:
        name = f"MiniLM {case.name}"
        with_scales = _write(bench, checkpoint, case, equalised=True)
        mean, worst = _cosines(with_scales, texts, reference)
        for which, value, index in (("mean", mean, 0), ("worst", worst, 1)):
            bounds = (case.must[index] if case.must else None, case.aim[index] if case.aim else None)
            yield Figure(f"{name}, {which} cosine of {COUNT} sentences", value, *bounds, at_least=True)
        if not _equalises(bench, checkpoint, case):
            continue
        without = _write(bench, checkpoint, case, equalised=False)
        for which, value in zip(("mean", "worst"), _cosines(without, texts, reference), strict=True):
            yield Figure(f"{name} without equalisation, {which}", value)
        if case.target != "coreml":
            yield Figure(
                f"{name}, latency with / without equalisation", _cost(bench, with_scales, without, texts)
            )


class _Unequalised:
    """A target that says that it quantizes no activations, so that the network stays as it is."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def quantized_activations(self, plan: Plan) -> None:
        return None


def _reference(bench: Bench, texts: list[str]) -> NDArray[np.float32]:
    """PyTorch's vectors, [sentences, hidden]."""
    checkpoint = load_checkpoint(str(bench.minilm))
    model = load_reference(bench.minilm, checkpoint.config, checkpoint.task)
    rows = []
    for text in texts:
        ids = np.array([model.token_ids(text, None, 256)])
        rows.append(model.run(ids, np.zeros_like(ids))["sentence_embedding"][0])
    return np.array(rows)


def _planned(bench: Bench, checkpoint: Checkpoint, case: Case) -> tuple[Plan, Target]:
    request = Request(str(bench.minilm), case.target, case.chosen)
    return make_plan(request, checkpoint.location.model, checkpoint.config)


def _equalises(bench: Bench, checkpoint: Checkpoint, case: Case) -> bool:
    plan, writer = _planned(bench, checkpoint, case)
    return writer.quantized_activations(narrowed(plan, writer)) is not None


def _write(bench: Bench, checkpoint: Checkpoint, case: Case, *, equalised: bool) -> Path:
    """A bundle whose parity is not judged."""
    from tokenizers import Tokenizer

    folder = bench.folder / f"minilm-{case.name}-{'with' if equalised else 'without'}"
    folder.mkdir()
    plan, writer = _planned(bench, checkpoint, case)
    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)
    texts = builtin_texts(
        "calibration", plan.task, tokenizer, plan.lengths, mask_token="[MASK]", mask_slots=None
    )
    if not equalised:
        writer = cast(Target, _Unequalised(writer))
    plan, _ = write_model(plan, writer, checkpoint, texts, folder)
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
