"""What calibration texts say about the inputs of a linear layer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

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


def moments_of(pairs: Iterable[tuple[Tensor, Tensor]], weights: Sequence[Tensor] | None = None) -> Moments:
    """Of a linear layer's inputs, read a batch at a time: all of them together would be large.

    Args:
        pairs: of each batch, its inputs in the float32 network and in the network as it is now,
            [tokens, inputs] float32 each.
        weights: how much each token counts, [tokens] float32 for each batch; all alike by default.
    """
    batches: Iterator[tuple[tuple[Tensor, Tensor], Tensor | None]] = (
        zip(pairs, weights, strict=True) if weights is not None else zip(pairs, repeat(None))
    )
    first = next(batches)
    # Sums of large numbers would lose what is small; the first batch's mean is near that of all.
    centre = first[0][0].mean(0)
    size = len(centre)
    squares, drift = torch.zeros(size, size), torch.zeros(size, size)
    count, found, wanted = torch.zeros(()), torch.zeros(size), torch.zeros(size)
    for (goal, read), counted in chain([first], batches):
        each = torch.ones(len(read)) if counted is None else counted
        centred, goal = read - centre, goal - centre
        count += each.sum()
        found += each @ centred
        wanted += each @ goal
        weighted = (centred * each.unsqueeze(1)).T
        squares.addmm_(weighted, centred)
        drift.addmm_(weighted, goal - centred)
    found, wanted = found / count, wanted / count
    squares -= count * torch.outer(found, found)
    drift -= count * torch.outer(found, wanted - found)
    return Moments(squares, drift, centre + found, centre + wanted)
