"""What ``config.json`` says about a BERT checkpoint, and which task its head is for.

Imports neither torch nor transformers: a dry run needs nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from bertmobile.errors import CheckpointError, UsageError
from bertmobile_export.activations import ACTIVATIONS
from bertmobile_export.checkpoint.files import read_json
from bertmobile_export.checkpoint.scores import (
    FunctionToApply,
    ProblemType,
    recorded_activation,
    recorded_function,
    usual_function,
)
from bertmobile_export.checkpoint.sentence_transformers import (
    SentenceEmbedding,
    check_sizes,
    read_sentence_model,
)

HIDDEN_ACTS = tuple(ACTIVATIONS)

TASK_BY_ARCHITECTURE = {
    "BertForMaskedLM": "fill-mask",
    "BertForPreTraining": "fill-mask",
    "BertForNextSentencePrediction": "next-sentence",
    "BertForSequenceClassification": "text-classification",
    "BertForTokenClassification": "token-classification",
    "BertForQuestionAnswering": "question-answering",
    "BertModel": "feature-extraction",
}
TASKS = tuple(dict.fromkeys(TASK_BY_ARCHITECTURE.values()))

# Sizes that transformers would also fill in, with those of bert-base. Here they are required: a config that
# lacks them describes another model, and the weights would only fail later and less clearly.
_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


@dataclass(frozen=True)
class ModelConfig:
    """The sizes and rules of one BERT checkpoint, whatever its task.

    Attributes:
        max_length: the longest text in tokens that the checkpoint's own files allow, where they say it.
        encoder: where in the checkpoint the encoder and its tokenizer lie; empty for the folder itself.
        lower_case_text: whether texts are lower-cased first, whatever the tokenizer does.
        is_sentence_model: whether sentence-transformers' own files define the embedding.
        embedding: how the vector of a text comes from the encoder's states.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: str
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    pad_token_id: int
    tie_word_embeddings: bool
    num_labels: int
    labels: tuple[str, ...]
    problem_type: ProblemType | None
    recorded_activation: str | None
    architecture: str | None
    max_length: int | None = None
    encoder: str = ""
    lower_case_text: bool = False
    is_sentence_model: bool = False
    embedding: SentenceEmbedding = field(default_factory=SentenceEmbedding)

    @property
    def longest(self) -> int:
        """The longest text in tokens, special ones included, that is not cut."""
        return min(self.max_length or self.max_position_embeddings, self.max_position_embeddings)

    @property
    def function_to_apply(self) -> FunctionToApply:
        """What makes scores of the logits of a text classification.

        Raises:
            CheckpointError: the checkpoint records an activation that a bundle cannot apply.
        """
        if self.recorded_activation is not None:
            return recorded_function(self.recorded_activation)
        return usual_function(self.problem_type, self.num_labels)


def read_config(folder: Path) -> ModelConfig:
    """Read ``config.json``, the tokenizer's limit, and what sentence-transformers recorded.

    Raises:
        CheckpointError: a file is missing or invalid, or describes something other than a BERT encoder that
            this package can express.
    """
    sentences = read_sentence_model(folder)
    encoder = folder / sentences.encoder if sentences else folder
    path = encoder / "config.json"
    raw = read_json(path)
    architecture = _architecture(raw, path)
    _require_bert(raw, architecture, path)
    sizes = {name: _positive(raw, name, path) for name in _SIZES}
    if sizes["hidden_size"] % sizes["num_attention_heads"]:
        raise _invalid(
            path,
            f"hidden_size {sizes['hidden_size']} is not a multiple of "
            f"num_attention_heads {sizes['num_attention_heads']}",
        )
    labels = _labels(raw, path)
    embedding = sentences.embedding if sentences else None
    if embedding:
        check_sizes(embedding, sizes["hidden_size"], folder)
    return ModelConfig(
        **sizes,
        hidden_act=_hidden_act(raw, path),
        max_position_embeddings=_positive(raw, "max_position_embeddings", path, default=512),
        type_vocab_size=_type_vocab_size(raw, path),
        layer_norm_eps=_layer_norm_eps(raw, path),
        pad_token_id=_pad_token_id(raw, path),
        tie_word_embeddings=_flag(raw, "tie_word_embeddings", path, default=True),
        num_labels=len(labels),
        labels=labels,
        problem_type=_problem_type(raw, path),
        recorded_activation=recorded_activation(folder, raw),
        architecture=architecture,
        max_length=(sentences.max_length if sentences else None) or _tokenizer_limit(encoder),
        encoder=sentences.encoder if sentences else "",
        lower_case_text=sentences.lower_case if sentences else False,
        is_sentence_model=embedding is not None,
        embedding=embedding or SentenceEmbedding(),
    )


def resolve_task(config: ModelConfig, task: str | None) -> str:
    """The task to export: ``task`` itself, or else the one that the architecture names.

    A config without an architecture means feature-extraction, the one task that needs no head.

    Raises:
        UsageError: ``task`` is not a known task.
        CheckpointError: the architecture has no task here and none was given, or the checkpoint records an
            activation that a bundle cannot apply.
    """
    task = _named_task(config) if task is None else task
    if task not in TASKS:
        raise UsageError(f"unknown task {task!r}; choose one of: {', '.join(TASKS)}")
    if task == "text-classification" and config.recorded_activation is not None:
        recorded_function(config.recorded_activation)  # refused here, before a weight is read
    return task


def _named_task(config: ModelConfig) -> str:
    if config.architecture is None:
        return "feature-extraction"
    if config.architecture not in TASK_BY_ARCHITECTURE:
        raise CheckpointError(
            f"architecture {config.architecture} has no task here; supported are "
            f"{', '.join(TASK_BY_ARCHITECTURE)}; name another head of this checkpoint with --task"
        )
    return TASK_BY_ARCHITECTURE[config.architecture]


def _invalid(path: Path, problem: str) -> CheckpointError:
    return CheckpointError(f"{path}: {problem}; restore the config.json that belongs to these weights")


def _architecture(raw: Mapping[str, Any], path: Path) -> str | None:
    names = raw.get("architectures")
    if names is None or names == []:
        return None
    if not isinstance(names, list) or not isinstance(names[0], str):
        raise _invalid(path, "architectures is not a list of names")
    return names[0]


def _require_bert(raw: Mapping[str, Any], architecture: str | None, path: Path) -> None:
    model_type = raw.get("model_type")
    if model_type is None and not (architecture or "").startswith("Bert"):
        raise CheckpointError(
            f"{path} names neither a model_type nor a Bert architecture; "
            'add "model_type": "bert" to it if it is BERT'
        )
    if model_type not in (None, "bert"):
        raise CheckpointError(
            f"{path}: model_type is {model_type!r}, but only BERT checkpoints can be exported; "
            "convert other models with optimum-cli or litert-torch"
        )
    position = raw.get("position_embedding_type", "absolute")
    if position != "absolute":
        raise CheckpointError(
            f"{path}: position_embedding_type {position!r} is not supported, only 'absolute'; "
            "choose a checkpoint trained with absolute positions"
        )
    for name in ("is_decoder", "add_cross_attention"):
        if _flag(raw, name, path, default=False):
            raise CheckpointError(
                f"{path}: {name} is set, but only encoders can be exported; choose an encoder checkpoint"
            )
    if architecture == "BertLMHeadModel":
        raise CheckpointError(
            f"{path}: BertLMHeadModel is a decoder, but only encoders can be exported; "
            "choose an encoder checkpoint such as BertForMaskedLM"
        )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _positive(raw: Mapping[str, Any], name: str, path: Path, *, default: int | None = None) -> int:
    value = raw.get(name, default)
    if value is None:
        raise _invalid(path, f"{name} is missing")
    if not _is_int(value) or value < 1:
        raise _invalid(path, f"{name} must be a positive integer, not {json.dumps(value)}")
    return int(value)


def _flag(raw: Mapping[str, Any], name: str, path: Path, *, default: bool) -> bool:
    value = raw.get(name, default)
    if not isinstance(value, bool):
        raise _invalid(path, f"{name} must be true or false, not {json.dumps(value)}")
    return value


def _hidden_act(raw: Mapping[str, Any], path: Path) -> str:
    value = raw.get("hidden_act", "gelu")
    if value not in HIDDEN_ACTS:
        raise CheckpointError(
            f"{path}: hidden_act {json.dumps(value)} is not supported, only {', '.join(HIDDEN_ACTS)}; "
            "choose another checkpoint"
        )
    return str(value)


def _type_vocab_size(raw: Mapping[str, Any], path: Path) -> int:
    value = _positive(raw, "type_vocab_size", path, default=2)
    if value > 2:
        raise CheckpointError(
            f"{path}: type_vocab_size {value} is not supported, only 1 and 2; choose another checkpoint"
        )
    return value


def _layer_norm_eps(raw: Mapping[str, Any], path: Path) -> float:
    value = raw.get("layer_norm_eps", 1e-12)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise _invalid(path, f"layer_norm_eps must be a small positive number, not {json.dumps(value)}")
    return float(value)


def _pad_token_id(raw: Mapping[str, Any], path: Path) -> int:
    value = raw.get("pad_token_id", 0)
    if value is None:
        return 0
    if not _is_int(value) or value < 0:
        raise _invalid(path, f"pad_token_id must be a token id, not {json.dumps(value)}")
    return int(value)


def _labels(raw: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    names = raw.get("id2label")
    if names is None:
        return tuple(f"LABEL_{index}" for index in range(_positive(raw, "num_labels", path, default=2)))
    try:
        by_id = {int(index): str(name) for index, name in names.items()}
    except (AttributeError, ValueError) as failure:
        raise _invalid(path, "id2label must map numbers to names") from failure
    if not by_id or sorted(by_id) != list(range(len(by_id))):
        raise _invalid(path, f"id2label must number its labels from 0 without gaps, not {sorted(by_id)}")
    return tuple(by_id[index] for index in range(len(by_id)))


def _problem_type(raw: Mapping[str, Any], path: Path) -> ProblemType | None:
    value: ProblemType | None = raw.get("problem_type")
    if value is not None and value not in get_args(ProblemType):
        raise _invalid(
            path, f"problem_type must be one of {', '.join(get_args(ProblemType))}, not {json.dumps(value)}"
        )
    return value


def _tokenizer_limit(folder: Path) -> int | None:
    """The tokens at which the tokenizer cuts a text, where its settings say so.

    transformers writes a huge number where there is no limit.
    """
    path = folder / "tokenizer_config.json"
    settings = read_json(path) if path.is_file() else {}
    limit = settings.get("model_max_length", settings.get("max_len"))
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 1:
        raise CheckpointError(
            f"{path}: model_max_length must be a positive number, not {json.dumps(limit)}; "
            "restore the file from its source"
        )
    return int(limit)
