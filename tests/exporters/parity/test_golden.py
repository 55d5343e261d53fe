"""Golden answers let a device check itself: enough, without padding, and true of the host's engine."""

import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from bertmobile.errors import ParityError
from bertmobile_export.parity.compare import Comparison
from bertmobile_export.parity.golden import CASES, golden_document
from bertmobile_export.parity.metrics import cosine
from bertmobile_export.parity.report import Report, make_report
from bertmobile_export.recipes import read_recipe
from tests.messages import error_of

from .network_model import LENGTHS, Outputs, Parts

MakeParts = Callable[..., Parts]
TASKS = (
    "fill-mask", "next-sentence", "text-classification", "token-classification", "question-answering",
    "feature-extraction",
)  # fmt: skip


def noisy(outputs: Outputs) -> Outputs:
    random = np.random.default_rng(0)
    return {
        name: (values + random.normal(0, 0.02, values.shape)).astype(np.float32)
        for name, values in outputs.items()
    }


Golden = Callable[[str], tuple[dict, Comparison, Report]]


@pytest.fixture(scope="module")
def golden(parts: MakeParts) -> Golden:
    """Task -> the document, and what it was made from."""
    return cache(lambda task: make_golden(parts(task)))


def make_golden(parts: Parts) -> tuple[dict, Comparison, Report]:
    model, comparison = parts.compare(parts.texts(), noisy, keep=-(-CASES // len(LENGTHS)))
    report = make_report(model, read_recipe("int8"), comparison)
    # As a device reads it: through JSON.
    text = json.dumps(golden_document(comparison.kept, report), allow_nan=False)
    return json.loads(text), comparison, report


@pytest.mark.parametrize("task", TASKS)
def test_there_are_eight_cases_or_more_from_every_bucket(task: str, golden: Golden) -> None:
    document, _, _ = golden(task)
    cases = document["cases"]
    assert len(cases) >= 8
    assert {case["bucket"] for case in cases} == set(LENGTHS)
    assert len({(case["text"], case["pair"]) for case in cases}) == len(cases)


@pytest.mark.parametrize("task", TASKS)
def test_the_tolerance_holds_for_the_engine_that_made_it(task: str, golden: Golden) -> None:
    document, _, report = golden(task)
    for name, tolerance in document["tolerance"].items():
        assert tolerance["max_abs"] >= report.document["outputs"][name]["max_abs"]
        for case in document["cases"]:
            output = case["outputs"][name]
            # In the precision of the report: in float64 the same two numbers may be further apart by a digit.
            reference, engine = (np.array(output[side], np.float32) for side in ("reference", "engine"))
            assert np.abs(engine - reference).max() <= tolerance["max_abs"]
            assert cosine(engine, reference) >= tolerance["cosine"]


@pytest.mark.parametrize("task", TASKS)
def test_cases_hold_no_padding(task: str, golden: Golden, parts: MakeParts) -> None:
    found = parts(task)
    document, comparison, _ = golden(task)
    pad = found.manifest.tokenizer.special_tokens["pad"].id
    assert any(case["tokens"] < case["bucket"] for case in document["cases"])
    for case, answer in zip(document["cases"], comparison.kept, strict=True):
        inputs = case["inputs"]
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            assert len(inputs[name]) == case["tokens"]
        assert pad not in inputs["input_ids"]
        assert set(inputs["attention_mask"]) == {1}
        for name, output in case["outputs"].items():
            assert max(output["indices"]) < answer.reference[name].size
        if task == "fill-mask":
            assert len(inputs["mask_positions"]) == found.manifest.mask_slots
            mask = found.manifest.tokenizer.special_tokens["mask"].id
            asked = case["text"].count("[MASK]")
            assert [inputs["input_ids"][i] for i in inputs["mask_positions"][:asked]] == [mask] * asked


@pytest.mark.parametrize("task", TASKS)
def test_values_are_both_models_own_to_the_last_bit(task: str, golden: Golden) -> None:
    document, comparison, _ = golden(task)
    for case, answer in zip(document["cases"], comparison.kept, strict=True):
        assert (case["text"], case["pair"]) == (answer.sample.text, answer.sample.pair)
        for name, output in case["outputs"].items():
            indices = output["indices"]
            assert indices == sorted(set(indices))
            for side in ("reference", "engine"):
                values = answer.reference[name] if side == "reference" else answer.actual[name]
                assert (np.array(output[side], np.float32) == values.ravel()[indices]).all()


@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "token-classification"])
def test_the_best_score_of_the_first_row_is_among_the_values(task: str, golden: Golden) -> None:
    document, comparison, _ = golden(task)
    for case, answer in zip(document["cases"], comparison.kept, strict=True):
        row = np.atleast_2d(answer.reference["logits"])[0]
        assert int(row.argmax()) in case["outputs"]["logits"]["indices"]


def test_fewer_than_eight_answers_are_refused(parts: MakeParts) -> None:
    found = parts("text-classification")
    model, comparison = found.compare(found.texts(), keep=8)
    report = make_report(model, read_recipe("float32"), comparison)
    assert "golden" in error_of(ParityError, golden_document, comparison.kept[:7], report)
