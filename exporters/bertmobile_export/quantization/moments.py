"""What calibration texts say about the inputs of a linear layer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Of what a linear layer reads, over all tokens.

    Attributes:
        squares: [inputs, inputs], the sum of the outer products of distances from the mean, as it reads now.
        drift: [inputs, inputs], the sum of the products of these with how far they are from the exact ones.
        found: [inputs], the mean of what it reads now.
        wanted: [inputs], the mean of what it reads in the float32 network.
    """

    squares: Tensor
    drift: Tensor
    found: Tensor
    wanted: Tensor


def moments_of(
    exact: Sequence[Tensor], inputs: Iterable[Tensor], weights: Sequence[Tensor] | None = None
) -> Moments:
    """Of a linear layer's inputs, [tokens, inputs] float32 for each batch.

    Args:
        exact: in the float32 network.
        inputs: in the network as it is now.
        weights: how much each token counts, [tokens] float32 for each batch; all alike by default.
    """
    weights = weights or [torch.ones(len(batch)) for batch in exact]
    size, count = exact[0].shape[1], sum(float(each.sum()) for each in weights)
    wanted = torch.stack([each @ batch for each, batch in zip(weights, exact, strict=True)]).sum(0) / count
    squares, drift, total = torch.zeros(size, size), torch.zeros(size, size), torch.zeros(size)
    for goal, read, each in zip(exact, inputs, weights, strict=True):
        total += each @ read
        # About the exact mean, which is near: sums of large numbers would lose what is small.
        centred = read - wanted
        weighted = (centred * each.unsqueeze(1)).T
        squares.addmm_(weighted, centred)
        drift.addmm_(weighted, goal - read)
    found = total / count
    offset = found - wanted
    squares -= count * torch.outer(offset, offset)
    drift += count * torch.outer(offset, offset)
    return Moments(squares, drift, found, wanted)
