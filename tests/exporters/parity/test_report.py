"""A report judges by the recipe, says what failed where, and keeps every text to itself."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertmobile.errors import ParityError
from bertmobile.schemas import validate
from bertmobile_export.bundle import write_json
from bertmobile_export.parity.compare import compare
from bertmobile_export.parity.golden import golden_document
from bertmobile_export.parity.report import Report, make_report, thresholds_for
from bertmobile_export.recipes import Recipe, parse_recipe, read_recipe
from bertmobile_export.texts import Sample, TextSet, texts_from_file

from .network_model import Outputs, Parts

MakeParts = Callable[..., Parts]


def own_recipe(bits: int, activations: str) -> Recipe:
    weights = {group: {"bits": bits} for group in ("embeddings", "encoder", "head")}
    return parse_recipe({"name": "own", "weights": weights, "activations": activations}, source="own")


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("float32", {"max_abs": 1e-4}),
        ("float16", {"cosine_min": 0.9999}),
        ("int8", {"cosine_mean": 0.995, "cosine_min": 0.98, "top1": 0.97}),
        ("int8-static", {"cosine_mean": 0.99, "cosine_min": 0.97}),
    ],
)
def test_each_recipe_has_its_thresholds(recipe: str, expected: dict[str, float]) -> None:
    assert thresholds_for(read_recipe(recipe), trained=True)["outputs"] == expected


def test_a_recipe_of_the_users_has_those_of_its_precision() -> None:
    for bits, activations, name in (
        (8, "dynamic", "int8"),
        (8, "static", "int8-static"),
        (16, "float", "float16"),
    ):
        assert thresholds_for(own_recipe(bits, activations), trained=True) == thresholds_for(
            read_recipe(name), trained=True
        )


@pytest.mark.parametrize("recipe", ["float32", "float16", "int8", "int8-static"])
def test_untrained_weights_are_judged_on_cosines_alone(recipe: str) -> None:
    thresholds = thresholds_for(read_recipe(recipe), trained=False)
    assert thresholds["labels"] == thresholds["values"] == {}
    found = thresholds["outputs"]
    assert found
    assert all(key.startswith("cosine") for key in found)
    trained = thresholds_for(read_recipe(recipe), trained=True)["outputs"]
    assert all(found[key] == trained[key] for key in found if key in trained)


def test_changing_the_answer_leaves_the_thresholds_alone() -> None:
    dict(thresholds_for(read_recipe("int8"), trained=True)).clear()
    assert thresholds_for(read_recipe("int8"), trained=True)


TEXTS = TextSet(
    tuple(Sample(f"Number {i} came back from the small old house, and no one saw it") for i in range(12)),
    "file",
)


def judge(
    parts: Parts, damage: Callable[[Outputs], Outputs] | None = None, *, recipe: str = "float32",
    texts: TextSet = TEXTS, trained: bool = True,
) -> Report:  # fmt: skip
    manifest = replace(parts.manifest, source=replace(parts.manifest.source, trained=trained))
    model, comparison = replace(parts, manifest=manifest).compare(texts, damage)
    return make_report(model, read_recipe(recipe), comparison)


def scaled(factor: float) -> Callable[[Outputs], Outputs]:
    return lambda outputs: {name: values * np.float32(factor) for name, values in outputs.items()}


@pytest.mark.parametrize(
    "task",
    ["fill-mask", "next-sentence", "text-classification", "token-classification", "question-answering",
     "feature-extraction"],
)  # fmt: skip
def test_a_network_passes_against_its_own_source(task: str, parts: MakeParts) -> None:
    found = parts(task)
    report = judge(found, texts=found.texts())
    assert report.passed and report.failures == ()
    document = report.document
    assert document["verdict"] == "passed"
    assert document["judged_as"] == document["recipe"] == "float32"
    assert set(document["outputs"]) == {spec.name for spec in found.manifest.outputs}
    assert document["texts"]["count"] == sum(document["texts"]["per_bucket"].values()) >= 128
    assert all(count >= 16 for count in document["texts"]["per_bucket"].values())
    assert document["texts"]["source"] == "builtin"
    assert document["engine"] == {"name": "network", "version": "1"}
    validate(json.loads(json.dumps(document, allow_nan=False)), "parity", source="report", error=ParityError)


def test_a_failure_names_the_output_the_number_and_the_text(parts: MakeParts) -> None:
    found = parts("text-classification")
    ids = np.array([found.reference.token_ids(TEXTS.samples[7].text, None, 32)])
    seventh = found.reference.run(ids, np.zeros_like(ids))["logits"]

    def damage(outputs: Outputs) -> Outputs:
        return scaled(1.5)(outputs) if np.allclose(outputs["logits"], seventh, rtol=0, atol=1e-6) else outputs

    report = judge(found, damage)
    assert not report.passed
    failure, *decisions = report.failures
    assert failure.startswith("logits: max_abs ")
    assert "is above 0.0001" in failure
    assert all(each.startswith("labels: ") for each in decisions)
    for each in (failure, *(each for each in decisions if "probability_max" in each)):
        assert "text 7" in each and "'Number 7 came back" in each
    assert TEXTS.samples[7].text not in "".join(report.failures)  # only its beginning
    assert report.document["verdict"] == "failed"
    assert report.document["outputs"]["logits"]["worst_abs_text"] == 7


def test_a_failure_names_only_the_output_that_differs(parts: MakeParts) -> None:
    def damage(outputs: Outputs) -> Outputs:
        return {**outputs, "end_logits": -outputs["end_logits"]}

    report = judge(parts("question-answering"), damage, recipe="int8")
    assert report.failures
    outputs = [failure for failure in report.failures if not failure.startswith("labels: ")]
    assert all(failure.startswith("end_logits: ") for failure in outputs)
    assert {failure.split()[1] for failure in outputs} == {"cosine_mean", "cosine_min"}


def test_the_same_outputs_pass_or_fail_by_the_recipe(parts: MakeParts) -> None:
    found = parts("text-classification")
    assert not judge(found, scaled(1.004), recipe="float32").passed
    assert judge(found, scaled(1.004), recipe="float16").passed
    assert not judge(found, scaled(1.01), recipe="float16").passed
    assert judge(found, scaled(1.01), recipe="int8").passed


def test_untrained_weights_may_change_ranks_and_scale_but_no_direction(parts: MakeParts) -> None:
    found = parts("text-classification")
    report = judge(found, scaled(1.01), trained=False)
    assert report.passed
    assert report.document["trained"] is False
    assert report.document["thresholds"] == {"cosine_min": 0.9999}
    assert not judge(found, scaled(-1.0), trained=False).passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("trained", [True, False])
def test_an_output_that_is_not_finite_fails_and_can_still_be_stored(
    value: float, trained: bool, parts: MakeParts, tmp_path: Path
) -> None:
    def damage(outputs: Outputs) -> Outputs:
        logits = outputs["logits"].copy()
        logits[..., 0] = value
        return {"logits": logits}

    found = parts("text-classification")
    manifest = replace(found.manifest, source=replace(found.manifest.source, trained=trained))
    model, comparison = replace(found, manifest=manifest).compare(TEXTS, damage, keep=8)
    report = make_report(model, read_recipe("int8"), comparison)
    kind = "12 NaN and 0 Inf" if np.isnan(value) else "0 NaN and 12 Inf"
    assert f"logits has {kind}" in report.failures
    assert report.document["verdict"] == "failed"
    write_json(tmp_path / "parity.json", report.document)
    write_json(tmp_path / "golden.json", golden_document(comparison.kept, report))


def _strings(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for key, value in document.items() for text in (key, *_strings(value))]
    if isinstance(document, list):
        return [text for value in document for text in _strings(value)]
    return [document] if isinstance(document, str) else []


@pytest.mark.parametrize("task", ["text-classification", "fill-mask", "next-sentence"])
def test_no_text_is_ever_stored(task: str, parts: MakeParts, tmp_path: Path) -> None:
    found = parts(task)
    path = tmp_path / "secret-name.txt"
    path.write_text("My password is swordfish\nyes\nAsk Aunt Zenobia\tabout the ruby\n", encoding="utf-8")
    private = texts_from_file(path, task, mask_token="[MASK]", mask_slots=found.manifest.mask_slots)
    for texts in (private, found.texts()):
        report = judge(found, scaled(3.0), texts=texts)
        assert not report.passed  # a failure is where a text would be quoted
        stored = json.dumps(report.document)
        for word in ("swordfish", "Zenobia", "ruby", "secret-name", str(tmp_path)):
            assert word not in stored
        sentences = {text for sample in texts.samples for text in (sample.text, sample.pair) if text}
        assert sentences.isdisjoint(_strings(report.document))
        assert not any(text in stored for text in sentences if len(text) > 8)
        assert report.document["texts"]["sha256"] == texts.sha256
        assert report.document["texts"]["source"] == texts.source


def test_the_worst_that_an_engine_beside_the_first_answers_decides_too(parts: MakeParts) -> None:
    found = parts("text-classification")
    model = found.model()
    for damage, passed in ((None, True), (scaled(1.5), False)):
        comparison = compare(model, found.reference, TEXTS, also={"rounding": found.model(damage)})
        report = make_report(model, read_recipe("float32"), comparison)
        assert report.passed is passed and report.document["verdict"] == ("passed" if passed else "failed")
        outputs, also = report.document["outputs"], report.document["also"]
        assert outputs["logits"]["max_abs"] < 1e-5
        assert also.keys() == {"rounding"} and also["rounding"]["outputs"].keys() == outputs.keys()
        assert (also["rounding"]["outputs"]["logits"]["max_abs"] > 1e-2) is not passed
    failure, *decisions = report.failures
    assert failure.startswith("rounding: logits: max_abs ") and "(text " in failure
    assert all(each.startswith("rounding: labels: ") for each in decisions)


def test_what_a_target_says_about_its_file_becomes_a_part_of_the_report(parts: MakeParts) -> None:
    model, comparison = parts("text-classification").compare(TEXTS)
    found = {"partitions": {"NNAPI": {"partitions": 2, "nodes": 30, "all_nodes": 31}}}
    document = make_report(model, read_recipe("float32"), comparison, found).document
    assert document["partitions"] == found["partitions"] and document["also"] == {}
    with pytest.raises(ParityError, match="parity report"):
        make_report(model, read_recipe("float32"), comparison, {"dates": "today"})
