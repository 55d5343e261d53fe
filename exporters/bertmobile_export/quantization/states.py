"""Calibration texts on their way through the encoder, a batch of texts of one length at a time."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.network import Network
from bertmobile_export.network.encoder import Layer
from bertmobile_export.network.equalisation import without_padding
from bertmobile_export.network.heads import FeatureExtractionHead, Rows
from bertmobile_export.threads import side_by_side

# About as many as the built-in texts have: with a third of them, 4-bit weights of MiniLM lost a quarter more.
TOKENS = 24_576
# Of one batch: enough to fill the cores, few enough for their caches.
BATCH_TOKENS = 1_024


@dataclass(frozen=True)
class States:
    """The states of texts of one length.

    Attributes:
        rows: [batch * length, hidden] float32.
        mask: what attention adds to its scores: zeros, since nothing is padded, for each head of each text.
        texts: how many.
    """

    rows: Tensor
    mask: Tensor
    texts: int


def choose(samples: Sequence[Mapping[str, NDArray[np.int64]]], tokens: int) -> list[dict[str, Tensor]]:
    """Texts without their padding, spread over ``samples``, until they hold so many tokens."""
    texts = [without_padding(sample) for sample in samples]
    total = sum(text["input_ids"].numel() for text in texts)
    if total <= tokens:
        return texts
    count = max(len(texts) * tokens // total, 1)
    return [texts[index * len(texts) // count] for index in range(count)]


def embed(
    network: Network, samples: Sequence[Mapping[str, NDArray[np.int64]]], tokens: int = TOKENS
) -> list[States]:
    """The states after the embeddings."""
    by_length: dict[int, list[dict[str, Tensor]]] = defaultdict(list)
    for text in choose(samples, tokens):
        by_length[text["input_ids"].shape[1]].append(text)
    batches = []
    for length, texts in sorted(by_length.items()):
        count = max(BATCH_TOKENS // length, 1)
        for start in range(0, len(texts), count):
            batch = texts[start : start + count]
            ids, types = (
                torch.cat([text[name] for text in batch]) for name in ("input_ids", "token_type_ids")
            )
            mask = torch.zeros(len(batch) * network.config.num_attention_heads, 1, 1)
            batches.append(States(network.encoder.embeddings(ids, types), mask, len(batch)))
    return batches


def run_layer(
    layer: Layer, batches: Sequence[States], parts: Sequence[str] = ()
) -> tuple[list[States], dict[str, list[Tensor]]]:
    """Run a layer; all rows, also of one whose head reads only some.

    Returns:
        The states after it, and what each of its linear layers ``parts`` read, [tokens, inputs] for each
        batch.
    """
    running = threading.local()

    def note(part: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            running.seen[part] = arguments[0]

        return hook

    def run(states: States) -> tuple[States, dict[str, Tensor]]:
        running.seen = {}
        with torch.no_grad():
            return replace(states, rows=layer(states.rows, states.mask)), running.seen

    hooks = [getattr(layer, part).register_forward_pre_hook(note(part)) for part in parts]
    try:
        results = list(side_by_side(run, batches))
    finally:
        for hook in hooks:
            hook.remove()
    return [states for states, _ in results], {part: [seen[part] for _, seen in results] for part in parts}


def advance(layer: Layer, batches: list[States]) -> None:
    """Replace what a layer reads by what it returns, batch by batch: those of all texts are large."""

    def run(states: States) -> States:
        with torch.no_grad():
            return replace(states, rows=layer(states.rows, states.mask))

    for index, states in enumerate(side_by_side(run, batches)):
        batches[index] = states


class _Reached(Exception):
    """Ends a forward pass whose rest nobody needs."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = inputs


def inputs_of(layer: Layer, part: str, batches: Sequence[States]) -> Iterator[Tensor]:
    """What the linear layer ``part`` reads for each batch, [tokens, inputs]; what follows it is not run."""

    def stop(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        raise _Reached(arguments[0])

    def run(states: States) -> Tensor:
        try:
            with torch.no_grad():
                layer(states.rows, states.mask)
        except _Reached as reached:
            return reached.inputs
        raise AssertionError(f"no {part} was run")

    hook = getattr(layer, part).register_forward_pre_hook(stop)
    try:
        yield from side_by_side(run, batches)
    finally:
        hook.remove()


def read_by_head(network: Network, batches: Sequence[States]) -> Tensor:
    """What the head makes its answer of: a row for each text or token, [n, hidden] float32."""
    rows = []
    for states in batches:
        hidden = states.rows.reshape(states.texts, -1, states.rows.shape[1])
        if isinstance(network.head, FeatureExtractionHead):
            mask, numbers = torch.ones(hidden.shape[:2]), torch.arange(hidden.shape[1])
            rows.append(network.head(hidden, mask, numbers)["sentence_embedding"])
        elif network.head.rows is Rows.FIRST:
            rows.append(hidden[:, 0])
        else:
            rows.append(states.rows)
    return torch.cat(rows)
