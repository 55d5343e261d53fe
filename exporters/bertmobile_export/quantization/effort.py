"""What ``--effort high`` adds to compensated rounding: more texts, and how much each token matters."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.network import Network
from bertmobile_export.network.encoder import LINEARS_BY_INPUT, Layer
from bertmobile_export.quantization.states import States, read_by_head
from bertmobile_export.threads import side_by_side

# How often each text is read once more, and the share of its tokens that are then other words. Measured on
# MiniLM at 4 bits: more copies, or more words, won nothing.
COPIES = 2
REPLACED = 0.2
# Whose gradients are computed at a time.
PIECE_TOKENS = 256
# Importance of a token that the head does not hear of.
LEAST = 0.1


def varied(
    samples: Sequence[Mapping[str, NDArray[np.int64]]], words: Sequence[int]
) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Each text again with a part of its tokens replaced by random words, ``COPIES`` times.

    Rounding that has seen a few hundred texts trusts what their words have in common.

    Args:
        samples: a network's inputs, [1, length] int64 each.
        words: ids to choose from; without any, no text is varied.
    """
    if not words:
        return
    random = np.random.default_rng(0)
    for _ in range(COPIES):
        for sample in samples:
            ids = sample["input_ids"].copy()
            chosen = (random.random(ids.shape) < REPLACED) & (sample["attention_mask"] > 0)
            last = int(sample["attention_mask"].sum()) - 1
            chosen[0, [0, last]] = False  # [CLS] and [SEP]
            ids[chosen] = random.choice(np.asarray(words), int(chosen.sum()))
            yield {**sample, "input_ids": ids}


def importance(network: Network, batches: Sequence[States]) -> dict[str, list[Tensor]]:
    """How much each token's error counts in what the head reads, for each group of linear layers.

    The squared gradient of random mixtures of what the head reads (Gauss-Newton, sampled: Hutchinson, 1989,
    https://doi.org/10.1080/03610918908812806), as GuidedQuant weights what GPTQ minimises (Kim et al., 2025,
    https://arxiv.org/abs/2505.07004). Its root is taken, since one sample is noisy; each text counts alike.

    Args:
        network: in float32.
        batches: what its first layer reads.

    Returns:
        By the name of each group's first layer: for each batch [tokens] float32, with mean 1 over all.
    """
    layers = [layer for layer in network.encoder.layers if isinstance(layer, Layer)]
    running = threading.local()

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            running.outputs.setdefault(name, []).append(output)

        return hook

    def squares(numbered: tuple[int, States]) -> dict[str, Tensor]:
        seed, states = numbered
        generator = torch.Generator().manual_seed(seed)
        pieces = [squares_of(piece, generator) for piece in _pieces(states)]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def squares_of(states: States, generator: torch.Generator) -> dict[str, Tensor]:
        running.outputs = {}
        rows = states.rows.detach().requires_grad_()
        with torch.enable_grad():
            for layer in layers:
                rows = layer(rows, states.mask)
            read = read_by_head(network, [replace(states, rows=rows)])
        noise = torch.randn(read.shape, generator=generator)
        outputs: dict[str, list[Tensor]] = running.outputs
        flat = [output for group in outputs.values() for output in group]
        gradients = iter(torch.autograd.grad(read, flat, noise))
        # Where a head reads the mean of a text's tokens, each of many has a small part.
        length = len(rows) / states.texts
        return {
            name: sum((next(gradients).square().sum(dim=1) for _ in group), torch.zeros(len(rows))) * length
            for name, group in outputs.items()
        }

    hooks = [
        getattr(layer, part).register_forward_hook(note(f"encoder.layers.{index}.{linears[0]}"))
        for index, layer in enumerate(layers)
        for linears in LINEARS_BY_INPUT
        for part in linears
    ]
    try:
        found = list(side_by_side(squares, enumerate(batches)))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _tempered([each[name] for each in found]) for name in found[0]}


def _pieces(states: States) -> Iterator[States]:
    """A few texts at a time: all that a layer computes is kept until the gradients are known."""
    length, heads = len(states.rows) // states.texts, len(states.mask) // states.texts
    count = max(PIECE_TOKENS // length, 1)
    for first in range(0, states.texts, count):
        texts = min(count, states.texts - first)
        rows = states.rows[first * length : (first + texts) * length]
        yield States(rows, states.mask[: texts * heads], texts)


def _tempered(squares: Sequence[Tensor]) -> list[Tensor]:
    """Roots with mean 1, none of them so small that its token would not be seen."""
    roots = [each.sqrt() for each in squares]
    mean = torch.cat(roots).mean().clamp(min=torch.finfo(torch.float32).tiny)
    return [LEAST + (1 - LEAST) * each / mean for each in roots]
