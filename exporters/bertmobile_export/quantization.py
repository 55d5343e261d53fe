"""Codes and scales of quantized weights, the same for every target that writes its own."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertmobile_export.recipes import WeightFormat


@dataclass(frozen=True)
class QuantizedMatrix:
    """``codes * scales[:, None]`` stands for the matrix.

    Attributes:
        codes: int8 [rows, columns], from -127 to 127.
        scales: float32 [rows].
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]


def quantize_matrix(weight: Tensor, form: WeightFormat) -> QuantizedMatrix:
    """Round a matrix to 8 bits, symmetrically around zero.

    Args:
        weight: float32 [rows, columns]; a row is an output channel, or an entry of a table.
        form: 8 bits; its granularity says whether each row has a scale of its own.

    Raises:
        ValueError: a width other than 8 bits.
    """
    if form.bits != 8:
        raise ValueError(f"no codes of {form.bits} bits")
    largest = weight.abs().amax(dim=1)
    if form.granularity == "tensor":
        largest = largest.max().expand(len(largest))
    # A row of zeros, such as that of [PAD], still needs a scale that can be divided by.
    scales = torch.where(largest > 0, largest / 127.0, 1.0)
    codes = (weight / scales.unsqueeze(1)).round_().to(torch.int8)
    return QuantizedMatrix(codes.numpy(), scales.numpy())
