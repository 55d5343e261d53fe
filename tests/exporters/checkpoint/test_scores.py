"""A classifier's scores come of its logits as in transformers' pipeline and as CrossEncoder predicts them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import pipeline

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.config import read_config, resolve_task
from bertmobile_export.checkpoint.scores import usual_function
from bertmobile_export.parity.reference import load_reference
from bertmobile_export.plan import PROBABILITIES
from tests.checkpoints import make_checkpoint

PAIR = ("The water was good", "rain in Paris")
ACTIVATIONS = {"none": torch.nn.Identity, "sigmoid": torch.nn.Sigmoid, "softmax": torch.nn.Softmax}


def scores(folder: Path, text: str, pair: str | None) -> np.ndarray[Any, Any]:
    """Of the reference, by the function that the config was found to mean."""
    reference = load_reference(folder, read_config(folder), "text-classification")
    encoded = reference.tokenizer(text, pair)
    ids, types = (np.array([encoded[name]]) for name in ("input_ids", "token_type_ids"))
    return reference.run(ids, types)[PROBABILITIES][0]


def record(folder: Path, **fields: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("labels", "problem_type"),
    [
        (1, None),
        (1, "regression"),
        (1, "multi_label_classification"),
        (3, None),
        (3, "regression"),
        (3, "multi_label_classification"),
        (3, "single_label_classification"),
    ],
)
def test_without_a_record_scores_are_those_of_the_pipeline(
    labels: int, problem_type: str | None, tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path, "text-classification", num_labels=labels, problem_type=problem_type)
    # A config's own word is not heard by the pipeline either.
    record(folder, function_to_apply="none")
    answers = pipeline("text-classification", model=str(folder), device="cpu")(PAIR[0], top_k=None)
    expected = {answer["label"]: answer["score"] for answer in answers}
    found = scores(folder, PAIR[0], None)
    for label, score in zip(read_config(folder).labels, found, strict=True):
        assert score == pytest.approx(expected[label], abs=1e-6)


@pytest.mark.parametrize("function", ACTIVATIONS)
@pytest.mark.parametrize("labels", [1, 3])
def test_what_a_cross_encoder_saves_is_what_it_predicts(labels: int, function: str, tmp_path: Path) -> None:
    made = make_checkpoint(tmp_path / "made", "text-classification", num_labels=labels)
    encoder = CrossEncoder(str(made), device="cpu", activation_fn=ACTIVATIONS[function]())
    saved = tmp_path / "saved"
    encoder.save_pretrained(str(saved), create_model_card=False)
    assert read_config(saved).function_to_apply == function
    with pytest.warns(UserWarning) if function == "softmax" else pytest.MonkeyPatch.context():
        expected = np.atleast_1d(encoder.predict([PAIR])[0])
    np.testing.assert_allclose(scores(saved, *PAIR), expected, atol=1e-6)


@pytest.mark.parametrize(
    "place",
    [
        lambda name: {"sentence_transformers": {"activation_fn": name, "version": "5.1.0"}},
        lambda name: {"sbert_ce_default_activation_function": name},
        lambda name: {
            "sentence_transformers": {"activation_fn": name},
            "sbert_ce_default_activation_function": "torch.nn.modules.activation.Tanh",
        },
    ],
    ids=["releases 4 and 5", "before 4", "both"],
)
@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("none", "torch.nn.modules.linear.Identity"),
        ("sigmoid", "torch.nn.modules.activation.Sigmoid"),
        ("sigmoid", "torch.nn.Sigmoid"),
    ],
)
def test_the_records_of_older_releases_are_read_as_cross_encoder_reads_them(
    function: str, name: str, place: Any, tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path, "text-classification", num_labels=1)
    record(folder, **place(name))
    assert read_config(folder).function_to_apply == function
    expected = CrossEncoder(str(folder), device="cpu").predict([PAIR])
    np.testing.assert_allclose(scores(folder, *PAIR), expected, atol=1e-6)


def test_a_record_of_no_activation_leaves_the_usual_one(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "text-classification", num_labels=1)
    record(folder, sentence_transformers={"activation_fn": None})
    assert read_config(folder).function_to_apply == "sigmoid" == usual_function(None, 1)
    expected = CrossEncoder(str(folder), device="cpu").predict([PAIR])
    np.testing.assert_allclose(scores(folder, *PAIR), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["torch.nn.modules.activation.Tanh", "rankers.scores.Sigmoid"])
def test_another_activation_is_refused_by_name_and_only_for_its_head(name: str, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "text-classification", num_labels=1)
    config = read_config(record(folder, sentence_transformers={"activation_fn": name}))
    with pytest.raises(CheckpointError, match=f"activation {name}.*torch.nn.Identity.*record"):
        resolve_task(config, None)
    assert resolve_task(config, "feature-extraction") == "feature-extraction"
