"""Codes of weights whose products every processor adds up alike.

x86 without VNNI multiplies unsigned activations and signed weights of 8 bits, and adds each two products in
16 bits, where they saturate in silence (PMADDUBSW, Intel's Software Developer's Manual, volume 2B). The
largest activation is 255: they never do where the two weights, as far as they have one sign, add up to 128
at most.
"""

import torch
from torch import Tensor

LARGEST_SUM = 2**15 // 255


def pair_reach(weight: Tensor) -> Tensor:
    """The largest sum of two neighbours with one sign in each row, float32 [rows].

    Args:
        weight: float32 [rows, columns]; columns 2i and 2i + 1 are neighbours.
    """
    padded = torch.nn.functional.pad(weight, (0, weight.shape[1] % 2))
    pairs = padded.reshape(len(weight), -1, 2)
    return torch.maximum(pairs.clamp(min=0).sum(dim=2), -pairs.clamp(max=0).sum(dim=2)).amax(dim=1)


def pair_limits(steps: Tensor, largest_sum: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest code at each place.

    Two weights that are too large together are cut by the same amount, which is the least squared error;
    where there is room, each of them has half of it.

    Args:
        steps: float32 [rows, columns], weights in units of their codes.
        largest_sum: whole numbers [rows, 1] or [1, 1], of two codes with one sign.

    Returns:
        Whole numbers, float32 [rows, columns] each.
    """
    return -_shared((-steps).clamp_(min=0), largest_sum), _shared(steps.clamp(min=0), largest_sum)


def _shared(sizes: Tensor, largest_sum: Tensor) -> Tensor:
    """``largest_sum`` shared out between the neighbours of each pair; one without a neighbour has it all."""
    shares = largest_sum.expand_as(sizes).clone()
    first, second = sizes[:, :-1:2], sizes[:, 1::2]
    shares[:, :-1:2] = ((largest_sum + first - second) / 2).round_()
    shares[:, 1::2] -= shares[:, :-1:2]
    return shares
