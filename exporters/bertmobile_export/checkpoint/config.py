"""What ``config.json`` says about a BERT checkpoint, and which task its head is for.

Imports neither torch nor transformers: a dry run needs nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bertmobile.errors import CheckpointError, UsageError
from bertmobile_export.checkpoint.files import read_json
from bertmobile_export.checkpoint.scores import (
    FunctionToApply,
    ProblemType,
    recorded_activation,
    recorded_function,
    usual_function,
)

Pooling = Literal["mean", "cls", "max"]

HIDDEN_ACTS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")

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

# sentence-transformers: the spelling of its releases before 6, then the names used since.
_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class ModelConfig:
    """The sizes and rules of one BERT checkpoint, whatever its task."""

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
    pooling: Pooling
    normalize_embedding: bool

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
    """Read ``config.json`` and, where there is one, the pooling that sentence-transformers recorded.

    Raises:
        CheckpointError: a file is missing or invalid, or describes something other than a BERT encoder that
            this package can express.
    """
    path = folder / "config.json"
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
    pooling, normalize = _sentence_embedding(folder)
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
        pooling=pooling,
        normalize_embedding=normalize,
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


def _sentence_embedding(folder: Path) -> tuple[Pooling, bool]:
    """How sentence-transformers would pool, from ``modules.json``; mean and not normalised without one."""
    path = folder / "modules.json"
    if not path.is_file():
        return "mean", False
    try:
        modules = [
            (str(module["type"]).rpartition(".")[2], str(module["path"]))
            for module in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, TypeError, KeyError) as failure:
        raise CheckpointError(
            f"{path} is not a list of sentence-transformers modules ({failure!r}); restore it from its source"
        ) from failure
    pooling: Pooling = "mean"
    normalize = False
    for kind, place in modules:
        match kind:
            case "Pooling":
                pooling = _pooling(folder / place / "config.json")
            case "Normalize":
                normalize = True
            # Dropout does nothing outside training.
            case "Transformer" | "Dropout":
                pass
            case _:
                raise CheckpointError(
                    f"{path}: a {kind} module is not supported, only Transformer, Pooling and Normalize; "
                    f"remove {path.name} to export the encoder without sentence-transformers' additions"
                )
    return pooling, normalize


def _pooling(path: Path) -> Pooling:
    raw = read_json(path)
    if "pooling_mode" in raw:
        modes = raw["pooling_mode"] if isinstance(raw["pooling_mode"], list) else [raw["pooling_mode"]]
    else:
        modes = [mode for flag, mode in _POOLING_FLAGS.items() if raw.get(flag)] or ["mean"]
    if modes == ["mean"]:
        return "mean"
    if modes == ["cls"]:
        return "cls"
    if modes == ["max"]:
        return "max"
    raise CheckpointError(
        f"{path}: pooling {' + '.join(map(str, modes))} is not supported, only one of mean, cls and max; "
        "choose another checkpoint, or remove modules.json to pool by the mean"
    )
