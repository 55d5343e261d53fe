"""Classifiers are judged by decisions and probabilities, each head by those that its users see."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bertmobile.tokenization import Encoded
from bertmobile_export.parity.compare import compare
from bertmobile_export.parity.labels import LabelMetrics, ValueMetrics, choices_of
from bertmobile_export.parity.reference import Reference, load_reference
from bertmobile_export.parity.report import make_report
from bertmobile_export.recipes import read_recipe

from .network_model import Parts

MakeParts = Callable[..., Parts]
RECIPES = ("float32", "float16", "int8", "int8-static", "int4")


def encoded(special: list[int], sequences: list[int | None] | None = None) -> Encoded:
    blank: list[Any] = [None] * len(special)
    return Encoded("", None, {}, blank, blank, special, sequences or blank, blank)


def measured(parts: Parts, actual: list[Any], reference: list[Any], tokens: Encoded) -> dict[str, Any]:
    """The numbers of texts with such logits."""
    choices = choices_of(parts.manifest)
    assert choices is not None
    metrics = LabelMetrics(choices)
    for one, other in zip(actual, reference, strict=True):
        metrics.add({"logits": np.float32(one)}, {"logits": np.float32(other)}, tokens)
    found = metrics.summary()
    assert found is not None
    return found


def test_a_flip_counts_apart_where_the_source_had_hardly_decided(parts: MakeParts) -> None:
    clear, close = [2.0, 0.0], [0.05, 0.0]
    found = measured(
        parts("text-classification"),
        [clear, [0.0, 0.1], close, [0.0, 0.05]],
        [clear, clear, close, close],
        encoded([1, 0, 1]),
    )
    assert (found["decided"], found["flips"], found["flip_share"]) == (2, 1, 0.5)
    assert (found["tiny_margin"], found["tiny_flips"]) == (2, 1)
    assert found["flipped_text"] == found["moved_text"] == 1
    softmax = torch.tensor([clear, [0.0, 0.1]]).softmax(-1)
    assert found["probability_max"] == pytest.approx(float((softmax[0] - softmax[1]).abs().max()), abs=1e-6)
    assert found["probability_mean"] == pytest.approx(
        (found["probability_max"] + float(torch.tensor([0.05, 0.0]).softmax(-1).diff().abs())) / 4, abs=1e-6
    )


def test_labels_that_hold_by_themselves_are_decisions_each(parts: MakeParts) -> None:
    several = parts("text-classification", num_labels=3, problem_type="multi_label_classification")
    found = measured(several, [[1.0, -1.0, 0.5]], [[1.0, 1.0, -3.0]], encoded([1, 0, 1]))
    assert (found["decided"], found["flips"]) == (3, 2)
    sigmoid = torch.tensor([[1.0, -1.0, 0.5], [1.0, 1.0, -3.0]]).sigmoid()
    moved = (sigmoid[0] - sigmoid[1]).abs()
    assert found["probability_max"] == pytest.approx(float(moved.max()), abs=1e-6)
    assert found["probability_mean"] == pytest.approx(float(moved.mean()), abs=1e-6)
    # The best label is the same, and a softmax would call it an agreement.
    assert measured(
        parts("text-classification", num_labels=1), [[-1.0]], [[1.0]], encoded([1, 0, 1])
    )["flips"] == 1  # fmt: skip


def test_tokens_count_without_those_that_the_tokenizer_added(parts: MakeParts) -> None:
    tokens = parts("token-classification")
    reference = [[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 0.0]]
    actual = [row[::-1] for row in reference]
    found = measured(tokens, [actual], [reference], encoded([1, 0, 0, 1]))
    assert (found["decided"], found["flips"]) == (2, 2)


def test_an_answer_is_the_span_that_the_runtime_finds(parts: MakeParts) -> None:
    """Its best start comes after its best end, so that neither alone says what is answered."""
    choices = choices_of(parts("question-answering").manifest)
    assert choices is not None
    context = encoded([1, 0, 1, 0, 0, 0, 1], [None, 0, None, 1, 1, 1, None])
    start, end = np.float32([9, 9, 9, 0, 3, 5, 9]), np.float32([9, 9, 9, 4, 2, 0, 9])
    scores = choices({"start_logits": start, "end_logits": end}, context)
    spans = [(3, 3), (3, 4), (3, 5), (4, 4), (4, 5), (5, 5)]
    assert scores.shape == (1, len(spans))
    assert scores[0].tolist() == [start[first] + end[last] for first, last in spans]
    assert choices({"start_logits": start, "end_logits": end}, encoded([1, 0, 1] + [0] * 4)).shape == (0, 1)


@pytest.mark.parametrize("task", ["feature-extraction", "fill-mask"])
def test_heads_that_decide_nothing_have_no_labels(task: str, parts: MakeParts) -> None:
    assert choices_of(parts(task).manifest) is None


def test_bare_numbers_are_measured_by_their_spread(parts: MakeParts) -> None:
    manifest = parts("text-classification", num_labels=1, problem_type="regression").manifest
    assert choices_of(manifest) is None
    reference = np.float32([[10.0], [12.0], [14.0]])
    for scale in (1, 1000):
        metrics = ValueMetrics()
        for shift, value in zip((0.0, 0.5, -1.0), reference, strict=True):
            metrics.add({"logits": (value + np.float32(shift)) * scale}, {"logits": value * scale})
        found = metrics.summary()
        assert found["spread"] == pytest.approx(scale * reference.std())
        assert found["value_max"] == pytest.approx(1.0 / reference.std(), rel=1e-5)
        assert found["value_mean"] == pytest.approx(0.5 / reference.std(), rel=1e-5)
        assert found["moved_text"] == 2
    single = ValueMetrics()
    single.add({"logits": np.float32([1.0])}, {"logits": np.float32([2.0])})
    assert single.summary()["value_max"] is None


def with_noise(parts: Parts, folder: Path, share: float) -> Reference:
    """The reference with noise in every matrix, a share of the standard deviation of its weights."""
    path = folder / "model.safetensors"
    generator = torch.Generator().manual_seed(1)
    state = load_file(path)
    for name, weight in state.items():
        if weight.ndim == 2:
            noise = torch.randn(weight.shape, generator=generator)
            state[name] = weight + share * weight.std() * noise
    save_file(state, path, metadata={"format": "pt"})
    return load_reference(folder, parts.reference.config, parts.manifest.task)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("task", "config"),
    [
        ("text-classification", {"num_labels": 2}),
        ("text-classification", {"num_labels": 3, "problem_type": "multi_label_classification"}),
        ("text-classification", {"num_labels": 1, "problem_type": "regression"}),
        ("token-classification", {"num_labels": 5}),
        ("next-sentence", {}),
        ("question-answering", {}),
    ],
    ids=["labels", "several labels", "regression", "tokens", "next", "answers"],
)
def test_noise_of_a_tenth_fails_every_recipe_and_the_true_source_passes(
    task: str, config: dict[str, Any], recipe: str, tmp_path: Path
) -> None:
    parts = Parts.make(tmp_path, task, **config)
    model, texts = parts.model(), parts.texts()
    few = replace(texts, samples=texts.samples[::2])
    true = make_report(model, read_recipe(recipe), compare(model, parts.reference, few))
    assert true.passed, true.failures
    noisy = compare(model, with_noise(parts, tmp_path, 0.1), few)
    report = make_report(model, read_recipe(recipe), noisy)
    kind = "values" if "regression" in config.values() else "labels"
    assert any(failure.startswith(f"{kind}: ") for failure in report.failures), report.document[kind]
