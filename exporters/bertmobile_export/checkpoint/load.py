"""From a model id or folder to everything that an export needs of the source model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.config import ModelConfig, read_config, resolve_task
from bertmobile_export.checkpoint.naming import (
    DECODER,
    HEADS,
    SIZED_BY,
    STEPS,
    WORD_TABLE,
    encoder_names,
    head_names,
    step_modules,
)
from bertmobile_export.checkpoint.sentence_transformers import Normalize
from bertmobile_export.checkpoint.source import Location, locate
from bertmobile_export.checkpoint.tokenizer import TokenizerFiles, read_tokenizer
from bertmobile_export.checkpoint.weights import looks_trained, read_weights, weights_sha256
from bertmobile_export.network import Network


@dataclass(frozen=True)
class Checkpoint:
    """A source model, ready for its network.

    ``config`` is the checkpoint's, except that ``tie_word_embeddings`` says what the weights do.
    ``network_state`` holds float32 tensors in the shapes of ``Network(config, task)``, made for
    ``load_state_dict(network_state, assign=True)``: a tied decoder is the same parameter under both its
    names, so that it stays tied. The tensors may be mapped from the checkpoint's files; do not write to them.
    """

    location: Location
    config: ModelConfig
    task: str
    network_state: Mapping[str, Tensor]
    tokenizer: TokenizerFiles
    weights_sha256: str
    trained: bool


def load_checkpoint(model: str, *, task: str | None = None, revision: str | None = None) -> Checkpoint:
    """Read a checkpoint for one task.

    Args:
        model: a folder or a hub id.
        task: which head to use; None for the one that the architecture names.
        revision: a branch, tag or commit on the hub.

    Raises:
        CheckpointError: the checkpoint cannot be found, read or used for the task.
        UsageError: an unknown task, or a revision of a local folder.
    """
    location = locate(model, revision=revision)
    config = read_config(location.folder)
    task = resolve_task(config, task)
    tokenizer = read_tokenizer(location.folder / config.encoder, config)
    weights = read_weights(location.folder / config.encoder)
    if task == "feature-extraction":
        weights |= read_step_weights(location.folder, config)
    config, state = network_state(config, task, weights)
    return Checkpoint(
        location=location,
        config=config,
        task=task,
        network_state=state,
        tokenizer=tokenizer,
        weights_sha256=weights_sha256(state),
        # What begins with random biases shows no training by them.
        trained=looks_trained({k: v for k, v in state.items() if not k.startswith(STEPS)}),
    )


def read_step_weights(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    """The weights of sentence-transformers' modules behind the pooling.

    Args:
        folder: the whole model.
        config: names the modules.

    Returns:
        float32 tensors by ``folder/name``; a bias that a module does without is 0.

    Raises:
        CheckpointError: a file is missing or damaged, or a tensor that its config asks for.
    """
    found: dict[str, Tensor] = {}
    for place in {step.folder for step in config.embedding.steps if not isinstance(step, Normalize)}:
        weights = read_weights(folder / place)
        found |= {f"{place}/{name}": tensor for name, tensor in weights.items()}
    weights = {}
    for _, theirs, bias in step_modules(config):
        for name in (f"{theirs}.weight", f"{theirs}.bias") if bias else (f"{theirs}.weight",):
            if name not in found:
                raise CheckpointError(
                    f"{folder / name} is not among the weights, and config.json there asks for it; "
                    "restore the folder from its source"
                )
            weights[name] = found[name]
        if not bias:
            weights[f"{theirs}.bias"] = torch.zeros(len(weights[f"{theirs}.weight"]))
    return weights


def network_state(
    config: ModelConfig, task: str, weights: Mapping[str, Tensor]
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Pick and check the tensors that the network for ``task`` uses.

    Args:
        weights: float32 tensors by normalised checkpoint name, as :func:`read_weights` returns them.

    Returns:
        The config with ``tie_word_embeddings`` as the weights have it, and the network's state.

    Raises:
        CheckpointError: a tensor is missing or has another shape than the config implies.
    """
    if task == "fill-mask":
        config, weights = _resolve_tying(config, weights)
    encoder, head = encoder_names(config), head_names(task, config)
    _require_encoder(config, encoder, weights)
    _require_head(task, head, weights)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Network(config, task).state_dict().items()}
    state = {}
    for ours, theirs in (encoder | head).items():
        tensor = weights[theirs]
        if tensor.shape != shapes[ours]:
            raise _wrong_shape(config, theirs, tuple(tensor.shape), tuple(shapes[ours]))
        state[ours] = tensor
    return config, state


def _resolve_tying(
    config: ModelConfig, weights: Mapping[str, Tensor]
) -> tuple[ModelConfig, Mapping[str, Tensor]]:
    """Tie the decoder to the word table as transformers 5 does.

    A config that ties them is believed unless the checkpoint holds two different tables; either one of them
    alone stands for both.
    """
    table, decoder = weights.get(WORD_TABLE), weights.get(DECODER)
    if not config.tie_word_embeddings:
        return config, weights
    if table is not None and decoder is not None and not torch.equal(table, decoder):
        return replace(config, tie_word_embeddings=False), weights
    shared = decoder if table is None else table
    if shared is None:
        return config, weights
    # The same parameter under both names: load_state_dict(assign=True) would wrap a tensor twice.
    tied = nn.Parameter(shared, requires_grad=False)
    return config, {**weights, WORD_TABLE: tied, DECODER: tied}


def _require_encoder(config: ModelConfig, names: Mapping[str, str], weights: Mapping[str, Tensor]) -> None:
    missing = [theirs for theirs in names.values() if theirs not in weights]
    if missing:
        layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
        raise CheckpointError(
            f"encoder tensor {missing[0]} is missing ({len(missing)} in all): config.json counts "
            f"{config.num_hidden_layers} layers and the weights hold {len(layers)}; use the config.json and "
            "weights of the same checkpoint"
        )


def _require_head(task: str, names: Mapping[str, str], weights: Mapping[str, Tensor]) -> None:
    missing = [theirs for theirs in names.values() if theirs not in weights]
    if missing:
        if missing == [DECODER]:
            raise CheckpointError(
                f"{DECODER} is missing, and config.json says that it is not the word table; "
                "set tie_word_embeddings to true there if it is"
            )
        # The decoder is absent where it is tied, so its absence says nothing.
        present = [
            other
            for other, head in HEADS.items()
            if all(name in weights for name in head.values() if name != DECODER)
        ]
        raise CheckpointError(
            f"the head for {task} is missing ({missing[0]}): this checkpoint has heads for "
            f"{', '.join(present)}; choose one with --task"
        )


def _wrong_shape(
    config: ModelConfig, name: str, found: tuple[int, ...], implied: tuple[int, ...]
) -> CheckpointError:
    if name.startswith("classifier") and found[1:] == implied[1:]:
        return CheckpointError(
            f"{name} has shape {found}, one row for each label, but config.json names {config.num_labels} "
            "labels; correct its id2label"
        )
    if "/" in name:  # of a module of sentence-transformers
        cause = "the sizes in config.json beside it"
        return CheckpointError(f"{name} has shape {found}, and not {implied}; check {cause}")
    cause = next(field for part, field in SIZED_BY if part in name)
    return CheckpointError(
        f"{name} has shape {found}, config.json implies {implied}; check {cause} in config.json"
    )
