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
from bertmobile_export.parity.numbers import Numbers
from bertmobile_export.recipes import Recipe

EVALUATOR = "mlprogram-evaluator"
EVALUATOR_NOTE = "the evaluator computes what the package says, and is not Core ML itself"
# How each threshold is compared: these must not be below their bounds, all others not above.
_AT_LEAST = ("cosine_mean", "cosine_min", "top1")
# The text that decided a number; each number of a text is one of those that were compared.
_WORST = {
    "max_abs": "worst_abs_text",
    "cosine_min": "worst_text",
    "flip_share": "flipped_text",
    "probability_max": "moved_text",
    "value_max": "moved_text",
}

# By what they judge: ``outputs``, ``labels`` or ``values``.
Thresholds = Mapping[str, Mapping[str, float]]


@cache
def _all_thresholds() -> Mapping[str, Thresholds]:
    text = resources.files(__package__).joinpath("thresholds.json").read_text(encoding="utf-8")
    thresholds: dict[str, Thresholds] = json.loads(text)
    return thresholds


def thresholds_for(recipe: Recipe, *, trained: bool, decides: bool = False) -> Thresholds:
    """What a recipe must keep, by what is judged: ``outputs``, ``labels`` and ``values``.

    Ranks and decisions of a model that was never trained are noise: cosines alone count, and what the recipe
    itself wants. Where a head ``decides``, its decisions are judged in the place of ranks: their bound is
    stricter, and they leave out what the source itself has hardly decided.
    """
    thresholds = _all_thresholds()[recipe.precision]
    outputs, labels = dict(thresholds["outputs"]), dict(thresholds["labels"] if trained else {})
    for key, bound in recipe.parity.items():
        if key == "flip_share":
            labels[key] = min(bound, labels.get(key, 1.0))
        else:
            outputs[key] = max(bound, outputs.get(key, 0.0))
    if trained:
        if decides:
            outputs.pop("top1", None)
        return {**thresholds, "outputs": outputs, "labels": labels}
    cosines = {key: value for key, value in outputs.items() if key.startswith("cosine")}
    floor = {"cosine_min": _all_thresholds()["float16"]["outputs"]["cosine_min"]}
    return {"outputs": cosines or floor, "labels": labels, "values": {}}


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
    thresholds = thresholds_for(
        recipe, trained=manifest.source.trained, decides=comparison.numbers.labels is not None
    )
    numbers, failures = _judge(comparison.numbers, thresholds, comparison)
    also = {}
    for engine, others in comparison.also.items():
        also[engine], more = _judge(others, thresholds, comparison)
        failures += [f"{engine}: {failure}" for failure in more]
    judged = [kind for kind, found in numbers.items() if found]
    document = {
        "schema_version": 1,
        "verdict": "failed" if failures else "passed",
        "target": manifest.target,
        "task": manifest.task,
        "recipe": recipe.name,
        "judged_as": recipe.precision,
        "trained": manifest.source.trained,
        "thresholds": {key: bound for kind in judged for key, bound in thresholds[kind].items()},
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
        **numbers,
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
    found: Numbers, thresholds: Thresholds, comparison: Comparison
) -> tuple[dict[str, Any], list[str]]:
    """The numbers of one engine, and which of them break a threshold."""
    numbers = found.summary()
    failures = []
    for name, output in numbers["outputs"].items():
        if output["nan_count"] or output["inf_count"]:
            failures.append(f"{name} has {output['nan_count']} NaN and {output['inf_count']} Inf")
        failures += _broken(name, output, thresholds["outputs"], comparison)
    for kind in ("labels", "values"):
        if numbers[kind]:
            failures += _broken(kind, numbers[kind], thresholds[kind], comparison)
    return numbers, failures


def _broken(
    name: str, numbers: dict[str, Any], thresholds: Mapping[str, float], comparison: Comparison
) -> list[str]:
    """The thresholds that ``numbers`` break; the texts they name become those of the whole set."""
    for key in set(_WORST.values()) & numbers.keys():
        if numbers[key] is not None:
            numbers[key] = comparison.compared[numbers[key]]
    failures = []
    for key, bound in thresholds.items():
        value = numbers[key]
        if value is not None and (value < bound if key in _AT_LEAST else value > bound):
            failures.append(_failure(name, key, bound, numbers, comparison))
    return failures


def _failure(name: str, key: str, bound: float, numbers: dict[str, Any], comparison: Comparison) -> str:
    side = "below" if key in _AT_LEAST else "above"
    message = f"{name}: {key} {numbers[key]:.4g} is {side} {bound:g}"
    if key == "flip_share":
        message += f", {numbers['flips']} of {numbers['decided']} decisions changed"
    if key in _WORST:
        index = numbers[_WORST[key]]
        message += f" (text {index}, {excerpt(comparison.texts.samples[index])})"
    return message
