"""The parity report: numbers, thresholds and verdict as one JSON document (schema ``parity``)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from bertmobile import Model
from bertmobile.errors import ParityError
from bertmobile.schemas import validate
from bertmobile_export.parity.compare import Comparison, excerpt
from bertmobile_export.parity.cpu import instruction_sets, machine
from bertmobile_export.parity.metrics import OutputMetrics
from bertmobile_export.recipes import Recipe

EVALUATOR = "mlprogram-evaluator"
EVALUATOR_NOTE = "the evaluator computes what the package says, and is not Core ML itself"
# How each threshold is compared; the others are numbers that only inform.
_AT_MOST = ("max_abs",)
_WORST = {"max_abs": "worst_abs_text", "cosine_min": "worst_text"}


@cache
def _all_thresholds() -> dict[str, dict[str, float]]:
    text = resources.files(__package__).joinpath("thresholds.json").read_text(encoding="utf-8")
    thresholds: dict[str, dict[str, float]] = json.loads(text)
    return thresholds


def thresholds_for(recipe: Recipe, *, trained: bool) -> dict[str, float]:
    """What a recipe must keep. Ranks of a model that was never trained are noise: cosines alone count."""
    thresholds = dict(_all_thresholds()[recipe.precision])
    for key, bound in recipe.parity.items():
        thresholds[key] = max(bound, thresholds.get(key, 0.0))
    if trained:
        return thresholds
    cosines = {key: value for key, value in thresholds.items() if key.startswith("cosine")}
    return cosines or {"cosine_min": _all_thresholds()["float16"]["cosine_min"]}


@dataclass(frozen=True)
class Report:
    """A report, and what it says to a person.

    ``failures`` names outputs and quotes texts; it is shown and never stored.
    """

    document: dict[str, Any]
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures

    def worst(self, key: str) -> float | None:
        """The lowest of a number over all outputs (the highest of a difference); None when none has it."""
        values: list[float] = [
            output[key] for output in self.document["outputs"].values() if output[key] is not None
        ]
        if not values:
            return None
        return max(values) if key in (*_AT_MOST, "mean_abs", "kl_mean", "kl_max") else min(values)


def make_report(
    model: Model,
    recipe: Recipe,
    comparison: Comparison,
    inspected: Mapping[str, Any] = MappingProxyType({}),
) -> Report:
    """Judge a comparison.

    Args:
        model: the bundle that was compared.
        recipe: its recipe, which decides the thresholds.
        comparison: the numbers.
        inspected: more fields of the document, about the file.
    """
    manifest = model.manifest
    thresholds = thresholds_for(recipe, trained=manifest.source.trained)
    outputs, failures = _judge(comparison.metrics, thresholds, comparison)
    also = {}
    for engine, metrics in comparison.also.items():
        also[engine], more = _judge(metrics, thresholds, comparison)
        failures += [f"{engine}: {failure}" for failure in more]
    document = {
        "schema_version": 1,
        "verdict": "failed" if failures else "passed",
        "target": manifest.target,
        "task": manifest.task,
        "recipe": recipe.name,
        "judged_as": recipe.precision,
        "trained": manifest.source.trained,
        "thresholds": thresholds,
        "engine": dict(zip(("name", "version"), model.engine, strict=True)),
        "cpu": {"machine": machine(), "instruction_sets": instruction_sets()},
        "reference": {
            "weights_sha256": manifest.source.weights_sha256,
            "torch": version("torch"),
            "transformers": version("transformers"),
            **comparison.versions,
        },
        "texts": {
            "source": comparison.texts.source,
            "count": sum(comparison.buckets.values()),
            "sha256": comparison.texts.sha256,
            "per_bucket": {str(bucket): n for bucket, n in sorted(comparison.buckets.items())},
        },
        "outputs": outputs,
        "also": also,
        **inspected,
    }
    notes = [EVALUATOR_NOTE] if model.engine[0].startswith(EVALUATOR) else []
    if comparison.note:
        notes.append(comparison.note)
    if notes:
        document["note"] = "; ".join(notes)
    validate(document, "parity", source="parity report", error=ParityError)
    return Report(document, tuple(failures))


def _judge(
    metrics: Mapping[str, OutputMetrics], thresholds: Mapping[str, float], comparison: Comparison
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The numbers of each output, and which of them break a threshold."""
    outputs = {name: entry.summary() for name, entry in metrics.items()}
    failures = []
    for name, numbers in outputs.items():
        for key in ("worst_text", "worst_abs_text"):
            numbers[key] = comparison.numbers[numbers[key]]
        if numbers["nan_count"] or numbers["inf_count"]:
            failures.append(f"{name} has {numbers['nan_count']} NaN and {numbers['inf_count']} Inf")
        for key, bound in thresholds.items():
            value = numbers[key]
            if value is not None and (value > bound if key in _AT_MOST else value < bound):
                failures.append(_failure(name, key, value, bound, numbers, comparison))
    return outputs, failures


def _failure(
    name: str, key: str, value: float, bound: float, numbers: dict[str, Any], comparison: Comparison
) -> str:
    side = "above" if key in _AT_MOST else "below"
    message = f"{name}: {key} {value:.4g} is {side} {bound:g}"
    if key in _WORST:
        index = numbers[_WORST[key]]
        message += f" (text {index}, {excerpt(comparison.texts.samples[index])})"
    return message
