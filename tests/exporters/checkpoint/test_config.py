"""config.json is read as transformers reads it, and refused in one line where BERT cannot be meant."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig

from bertmobile.errors import CheckpointError, UsageError
from bertmobile_export.checkpoint.config import TASKS, ModelConfig, read_config, resolve_task
from tests.messages import error_of

SIZES = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


def write(folder: Path, **fields: Any) -> Path:
    """A config.json with all that is required; None removes a field."""
    document = {"model_type": "bert", "architectures": ["BertForMaskedLM"], **SIZES, **fields}
    document = {name: value for name, value in document.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(document))
    return folder


def refuse(folder: Path, **fields: Any) -> str:
    return error_of(CheckpointError, read_config, write(folder, **fields))


def test_reads_what_transformers_writes(tmp_path: Path) -> None:
    source = BertConfig(
        **SIZES,
        hidden_act="gelu_new",
        max_position_embeddings=64,
        type_vocab_size=1,
        layer_norm_eps=1e-6,
        pad_token_id=3,
        tie_word_embeddings=False,
        id2label={0: "no", 1: "yes", 2: "maybe"},
        problem_type="multi_label_classification",
        architectures=["BertForSequenceClassification"],
    )
    source.save_pretrained(tmp_path)
    assert read_config(tmp_path) == ModelConfig(
        **SIZES,
        hidden_act="gelu_new",
        max_position_embeddings=64,
        type_vocab_size=1,
        layer_norm_eps=1e-6,
        pad_token_id=3,
        tie_word_embeddings=False,
        num_labels=3,
        labels=("no", "yes", "maybe"),
        problem_type="multi_label_classification",
        recorded_activation=None,
        architecture="BertForSequenceClassification",
    )


def test_missing_fields_take_the_defaults_of_transformers(tmp_path: Path) -> None:
    config = read_config(write(tmp_path))
    defaults = BertConfig()
    for name in (
        "hidden_act",
        "max_position_embeddings",
        "type_vocab_size",
        "layer_norm_eps",
        "pad_token_id",
        "tie_word_embeddings",
        "num_labels",
        "problem_type",
    ):
        assert getattr(config, name) == getattr(defaults, name), name
    assert config.labels == tuple(defaults.id2label.values())


def test_labels_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    names = {str(index): f"label {index}" for index in reversed(range(11))}
    assert read_config(write(tmp_path, id2label=names)).labels == tuple(
        f"label {index}" for index in range(11)
    )


def test_num_labels_names_labels_as_transformers_does(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, num_labels=3)).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_a_missing_model_type_is_accepted_with_a_bert_architecture(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, model_type=None)).architecture == "BertForMaskedLM"


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = write(tmp_path) / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_config(tmp_path).hidden_size == 32


def test_no_config(tmp_path: Path) -> None:
    message = error_of(CheckpointError, read_config, tmp_path)
    assert "config.json is missing" in message
    assert "give the folder that save_pretrained wrote" in message


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[1]"])
def test_an_invalid_config(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    message = error_of(CheckpointError, read_config, tmp_path)
    assert "config.json is not" in message
    assert "restore it from its source" in message


@pytest.mark.parametrize("model_type", ["roberta", "distilbert", "nomic_bert", 7])
def test_another_model_type(model_type: object, tmp_path: Path) -> None:
    message = refuse(tmp_path, model_type=model_type)
    assert f"model_type is {model_type!r}, but only BERT" in message
    assert "convert other models with" in message


def test_neither_model_type_nor_architecture(tmp_path: Path) -> None:
    message = refuse(tmp_path, model_type=None, architectures=None)
    assert "neither a model_type nor a Bert architecture" in message
    assert '"model_type": "bert"' in message


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query", "alibi"])
def test_relative_positions(kind: str, tmp_path: Path) -> None:
    message = refuse(tmp_path, position_embedding_type=kind)
    assert f"position_embedding_type {kind!r} is not supported" in message
    assert "absolute" in message


@pytest.mark.parametrize("flag", ["is_decoder", "add_cross_attention"])
def test_a_decoder(flag: str, tmp_path: Path) -> None:
    message = refuse(tmp_path, **{flag: True})
    assert f"{flag} is set" in message
    assert "choose an encoder" in message


def test_a_decoder_by_its_architecture(tmp_path: Path) -> None:
    message = refuse(tmp_path, architectures=["BertLMHeadModel"])
    assert "BertLMHeadModel is a decoder" in message
    assert "choose an encoder" in message


def test_a_hidden_size_that_the_heads_do_not_divide(tmp_path: Path) -> None:
    message = refuse(tmp_path, num_attention_heads=5)
    assert "hidden_size 32 is not a multiple of num_attention_heads 5" in message
    assert "restore the config.json" in message


@pytest.mark.parametrize("name", SIZES)
def test_a_missing_size(name: str, tmp_path: Path) -> None:
    assert f"{name} is missing" in refuse(tmp_path, **{name: None})


@pytest.mark.parametrize("name", [*SIZES, "max_position_embeddings", "type_vocab_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "32", True, [32]])
def test_a_size_that_is_not_a_positive_integer(name: str, value: object, tmp_path: Path) -> None:
    message = refuse(tmp_path, **{name: value})
    assert f"{name} must be a positive integer, not {json.dumps(value)}" in message
    assert "restore the config.json" in message


@pytest.mark.parametrize("value", ["prelu", "xielu", "sqrtsoftplus", 3])
def test_an_unknown_activation(value: object, tmp_path: Path) -> None:
    message = refuse(tmp_path, hidden_act=value)
    assert f"hidden_act {json.dumps(value)} is not supported, only gelu" in message
    assert "choose another checkpoint" in message


def test_three_segments(tmp_path: Path) -> None:
    assert "type_vocab_size 3 is not supported, only 1 and 2" in refuse(tmp_path, type_vocab_size=3)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"architectures": "BertModel"}, "architectures is not a list of names"),
        ({"layer_norm_eps": 0}, "layer_norm_eps must be"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps must be"),
        ({"pad_token_id": -1}, "pad_token_id must be"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings must be true or false"),
        ({"id2label": {"0": "a", "2": "b"}}, "without gaps, not [0, 2]"),
        ({"id2label": {}}, "without gaps"),
        ({"id2label": {"a": 0}}, "id2label must map numbers to names"),
        ({"id2label": ["a", "b"]}, "id2label must map numbers to names"),
        ({"num_labels": 0}, "num_labels must be a positive integer"),
        ({"problem_type": "ranking"}, "problem_type must be one of regression"),
    ],
)
def test_other_invalid_fields(fields: dict[str, Any], expected: str, tmp_path: Path) -> None:
    message = refuse(tmp_path, **fields)
    assert expected in message
    assert "restore the config.json" in message


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForMaskedLM", "fill-mask"),
        ("BertForPreTraining", "fill-mask"),
        ("BertForNextSentencePrediction", "next-sentence"),
        ("BertForSequenceClassification", "text-classification"),
        ("BertForTokenClassification", "token-classification"),
        ("BertForQuestionAnswering", "question-answering"),
        ("BertModel", "feature-extraction"),
        (None, "feature-extraction"),
    ],
)
def test_the_architecture_names_the_task(architecture: str | None, task: str, tmp_path: Path) -> None:
    names = None if architecture is None else [architecture]
    assert resolve_task(read_config(write(tmp_path, architectures=names)), None) == task


def test_an_explicit_task_comes_first(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, architectures=["BertForMultipleChoice"]))
    for task in TASKS:
        assert resolve_task(config, task) == task


def test_an_unknown_task(tmp_path: Path) -> None:
    message = error_of(UsageError, resolve_task, read_config(write(tmp_path)), "summarization")
    assert "unknown task 'summarization'" in message
    assert all(task in message for task in TASKS)


def test_an_architecture_without_a_task(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, architectures=["BertForMultipleChoice"]))
    message = error_of(CheckpointError, resolve_task, config, None)
    assert "BertForMultipleChoice has no task here; supported are BertForMaskedLM" in message
    assert "--task" in message


def test_a_dry_run_imports_neither_torch_nor_transformers() -> None:
    script = (
        "import sys; from bertmobile_export.checkpoint import locate, read_config; "
        "print([name for name in ('torch', 'transformers', 'huggingface_hub') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == "[]"
