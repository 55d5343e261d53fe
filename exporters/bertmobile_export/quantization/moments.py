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


def moments_of(exact: Sequence[Tensor], inputs: Iterable[Tensor]) -> Moments:
    """Of a linear layer's inputs, [tokens, inputs] float32 for each batch.

    Args:
        exact: in the float32 network.
        inputs: in the network as it is now.
    """
    size, count = exact[0].shape[1], sum(map(len, exact))
    wanted = torch.stack([batch.sum(0) for batch in exact]).sum(0) / count
    squares, drift, total = torch.zeros(size, size), torch.zeros(size, size), torch.zeros(size)
    for goal, read in zip(exact, inputs, strict=True):
        total += read.sum(0)
        # About the exact mean, which is near: sums of large numbers would lose what is small.
        centred = read - wanted
        squares.addmm_(centred.T, centred)
        drift.addmm_(centred.T, goal - read)
    found = total / count
    offset = found - wanted
    squares -= count * torch.outer(offset, offset)
    drift += count * torch.outer(offset, offset)
    return Moments(squares, drift, found, wanted)
