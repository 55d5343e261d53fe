"""Which function makes scores of a text classifier's logits, by transformers and sentence-transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.files import read_json

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]
FunctionToApply = Literal["softmax", "sigmoid", "none"]

# The classes of torch.nn that a CrossEncoder's activation may be.
_FUNCTIONS: Mapping[str, FunctionToApply] = {"Identity": "none", "Sigmoid": "sigmoid", "Softmax": "softmax"}


def usual_function(problem_type: ProblemType | None, num_labels: int) -> FunctionToApply:
    """What the pipeline of transformers applies where no activation is recorded.

    A config's own ``function_to_apply`` is not asked: the pipeline reads it only of a head without labels.
    """
    if problem_type == "regression":
        return "none"
    return "sigmoid" if problem_type == "multi_label_classification" or num_labels == 1 else "softmax"


def gives_values(function: str | None, problem_type: str | None, num_labels: int) -> bool:
    """Whether a text classification answers with bare numbers, not with labels that compete."""
    return function == "none" and (problem_type == "regression" or num_labels == 1)


def recorded_activation(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The activation that a CrossEncoder of sentence-transformers recorded, such as ``torch.nn.Sigmoid``.

    Since release 6 it is in a file of its own, from 4 on in ``config.json``, and before under another key
    there.

    Raises:
        CheckpointError: a file of sentence-transformers that is no JSON object.
    """
    path = folder / "config_sentence_transformers.json"
    if (folder / "modules.json").is_file() and path.is_file():
        own = read_json(path)
        if own.get("model_type") == "CrossEncoder" and own.get("activation_fn") is not None:
            return str(own["activation_fn"])
    inner = config.get("sentence_transformers")
    if isinstance(inner, Mapping) and "activation_fn" in inner:
        recorded = inner["activation_fn"]
    else:
        recorded = config.get("sbert_ce_default_activation_function")
    return None if recorded is None else str(recorded)


def recorded_function(activation: str) -> FunctionToApply:
    """What a recorded activation computes.

    Raises:
        CheckpointError: it is none that a bundle can apply.
    """
    module, _, name = activation.rpartition(".")
    if not module.startswith("torch.nn") or name not in _FUNCTIONS:
        known = ", ".join(f"torch.nn.{name}" for name in _FUNCTIONS)
        raise CheckpointError(
            f"this classifier records the activation {activation}, and a bundle can apply only {known}; "
            "record one of them, or Identity and apply your own to the scores"
        )
    return _FUNCTIONS[name]
