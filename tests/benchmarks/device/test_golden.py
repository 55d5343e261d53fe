"""Answers of a device beside a bundle's golden ones."""

from typing import Any

import numpy as np
import pytest

from bertmobile.errors import BertMobileError
from bertmobile_bench.device.cases import Sample
from bertmobile_bench.device.golden import compare, golden_inputs
from tests.exports import Exports

EXPECTED = [3.0, -4.0]
GOLDEN: dict[str, Any] = {
    "tolerance": {"logits": {"max_abs": 0.5, "cosine": 0.99}},
    "cases": [{"outputs": {"logits": {"indices": [0, 2], "reference": EXPECTED, "engine": EXPECTED}}}],
}


def answered(*values: float) -> list[Sample]:
    return [Sample("s", {"logits": np.array([values], np.float32)})]


def test_answers_within_the_tolerance_pass_and_other_values_are_not_looked_at() -> None:
    assert compare(GOLDEN, answered(3.0, 99.0, -4.25)) == {"cases": 1, "failed": [], "max_abs": 0.25}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((3.0, 0.0, -5.0), "logits of case 1 is off by 1, more than 0.5"),
        ((float("nan"), 0.0, -4.0), "logits of case 1 holds NaN or infinity"),
        ((float("inf"), 0.0, -4.0), "logits of case 1 holds NaN or infinity"),
        ((3.0,), "logits of case 1 has 1 values, too few"),
    ],
)
def test_an_answer_out_of_tolerance_is_named(values: tuple[float, ...], says: str) -> None:
    found = compare(GOLDEN, answered(*values))
    assert found["failed"] == [says] and np.isfinite(found["max_abs"])


def test_another_direction_is_named_even_where_each_value_is_near() -> None:
    near = {
        "tolerance": {"logits": {"max_abs": 0.5, "cosine": 0.99}},
        "cases": [{"outputs": {"logits": {"indices": [0, 1], "reference": [0.1, 0], "engine": [0.1, 0]}}}],
    }
    assert compare(near, answered(0.1, 0.1))["failed"] == [
        "logits of case 1 has cosine 0.70711, less than 0.99000"
    ]


def test_zeros_are_like_zeros_only() -> None:
    zeros = {**GOLDEN, "cases": [{"outputs": {"logits": {"indices": [0], "reference": [0], "engine": [0]}}}]}
    assert compare(zeros, answered(0.0))["failed"] == []
    assert compare(zeros, answered(0.1))["failed"] == [
        "logits of case 1 has cosine 0.00000, less than 0.99000"
    ]


def test_answers_that_are_missing_are_not_taken_for_right_ones() -> None:
    with pytest.raises(BertMobileError, match="0 of 1 golden cases"):
        compare(GOLDEN, [])
    assert compare(GOLDEN, [Sample("s", {})])["failed"] == ["logits of case 1 has 0 values, too few"]


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_the_inputs_fit_the_model(exports: Exports, target: str) -> None:
    from bertmobile.manifest import read_manifest
    from bertmobile_bench.device.golden import read_golden

    bundle = exports("fill-mask", "int8", target=target).bundle
    manifest = read_manifest(bundle)
    golden = read_golden(bundle)
    for case, sample in zip(golden["cases"], golden_inputs(golden, manifest), strict=True):
        assert list(sample.tensors) == [spec.name for spec in manifest.inputs]
        ids = sample.tensors["input_ids"]
        assert ids[0, : case["tokens"]].tolist() == case["inputs"]["input_ids"][: case["tokens"]]
        assert ids.shape[1] == (case["tokens"] if manifest.dynamic else case["bucket"])
        assert not sample.tensors["attention_mask"][0, case["tokens"] :].any()
