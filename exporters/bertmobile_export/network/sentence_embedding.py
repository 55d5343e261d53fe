"""Text vectors from token states, as sentence-transformers makes them (https://sbert.net, its modules).

A text of padding only gets finite numbers: 0 where sums are divided, as there.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bertmobile_export.checkpoint.sentence_transformers import (
    Dense,
    Norm,
    Pooling,
    PoolingMode,
    SentenceEmbedding,
    Step,
)
from bertmobile_export.network.encoder import Activation, LayerNorm

# Pushes what is not pooled below any state of a normalised layer; half precision holds it.
OUT_OF_MAXIMUM = -1e4
# The least squared length that a vector is divided by.
SMALLEST_SQUARE = 1e-24
# What PyTorch's own normalisation adds to a variance.
NORM_EPS = 1e-5


class Pool(nn.Module):
    """Token states to one vector: the results of several modes, one behind the other.

    All modes but the maximum are sums of weighted states. The weights are found by arithmetic alone, since
    few accelerators look anything up.

    Args:
        pooling: the modes.
        positions: how many the model has.
    """

    def __init__(self, pooling: Pooling, positions: int) -> None:
        super().__init__()
        self.modes: Sequence[PoolingMode] = pooling.modes
        self.whole = pooling.include_prompt
        """Whether every token of a text is pooled, from [CLS] on."""
        self.positions = positions
        self.share = 1.0 / positions
        """Of the position weights, whose sums would leave the range of half precision."""

    def forward(self, states: Tensor, mask: Tensor, numbers: Tensor) -> Tensor:
        """Pool.

        Args:
            states: [batch, length, hidden] float32.
            mask: [batch, length] integer, 1 for what is pooled: one run of tokens.
            numbers: [length] integer: 0, 1, 2, ...

        Returns:
            [batch, modes * hidden] float32.
        """
        keep = mask.to(states.dtype)
        place = numbers.to(states.dtype)
        return torch.cat([self._pooled(mode, states, keep, place) for mode in self.modes], dim=-1)

    def _pooled(self, mode: PoolingMode, states: Tensor, keep: Tensor, place: Tensor) -> Tensor:
        match mode:
            case "max":
                return (states + (1.0 - keep).unsqueeze(-1) * OUT_OF_MAXIMUM).amax(dim=1)
            case "cls" if self.whole:
                return states[:, 0]
            case "cls":
                # Highest for the first token that is kept, or for [CLS] when none is.
                return _weighted(states, _highest(keep * self.positions - place))
            case "lasttoken":
                return _weighted(states, _highest(keep * (place + 1.0)) * keep)
            case "weightedmean":
                weights = keep * (place + 1.0) * self.share
                return _weighted(states, weights) / _total(weights, self.share)
            case "mean_sqrt_len_tokens":
                return _weighted(states, keep) / _total(keep, 1.0).sqrt()
            case "mean":
                return _weighted(states, keep) / _total(keep, 1.0)


def _weighted(states: Tensor, weights: Tensor) -> Tensor:
    return (states * weights.unsqueeze(-1)).sum(dim=1)


def _total(weights: Tensor, least: float) -> Tensor:
    # The least weight of a single token: a text keeps its own sum, and padding only divides 0 by this.
    return weights.sum(dim=1, keepdim=True).clamp_min(least)


def _highest(keys: Tensor) -> Tensor:
    """1 for the highest of whole numbers, 0 for the others."""
    return (1.0 - (keys.amax(dim=1, keepdim=True) - keys)).clamp_min(0.0)


class DenseStep(nn.Module):
    """A linear layer with an activation, and its input added where there is a residual."""

    def __init__(self, step: Dense) -> None:
        super().__init__()
        self.linear = nn.Linear(step.inputs, step.outputs)
        self.activation = Activation("linear" if step.activation == "Identity" else step.activation.lower())
        self.adds_input = step.residual
        self.residual = nn.Linear(step.inputs, step.outputs) if step.projects_residual else None

    def forward(self, vector: Tensor) -> Tensor:
        result: Tensor = self.activation(self.linear(vector))
        if self.adds_input:
            result = result + (vector if self.residual is None else self.residual(vector))
        return result


class NormStep(nn.Module):
    """Layer normalisation."""

    def __init__(self, step: Norm) -> None:
        super().__init__()
        self.norm = LayerNorm(step.size, eps=NORM_EPS)

    def forward(self, vector: Tensor) -> Tensor:
        result: Tensor = self.norm(vector)
        return result


class UnitLength(nn.Module):
    """The vector divided by its length."""

    def forward(self, vector: Tensor) -> Tensor:
        return vector / vector.pow(2).sum(dim=-1, keepdim=True).clamp_min(SMALLEST_SQUARE).sqrt()


def make_steps(embedding: SentenceEmbedding) -> nn.ModuleList:
    """A module for each step behind the pooling."""
    return nn.ModuleList(_make_step(step) for step in embedding.steps)


def _make_step(step: Step) -> nn.Module:
    match step:
        case Dense():
            return DenseStep(step)
        case Norm():
            return NormStep(step)
    return UnitLength()
