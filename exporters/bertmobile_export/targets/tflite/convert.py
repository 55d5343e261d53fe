"""PyTorch to a float32 LiteRT model with one signature."""

import contextlib
import io

import litert_torch
import torch
from torch import nn

from bertmobile_export.network import Network
from bertmobile_export.sizes import POSITION_TABLE


def leave_out_positions(network: Network, count: int) -> None:
    """Keep the first ``count`` positions of the table, and of its codes, in place.

    A table with one scale for all stays whole: its quantizer must see the weight that the scale is from.
    """
    table, codes = network.encoder.embeddings.position, network.codes.get(POSITION_TABLE)
    if codes is not None:
        if codes.form.granularity == "tensor":
            return
        network.codes[POSITION_TABLE] = codes.first_rows(count)
    table.weight = nn.Parameter(table.weight[:count], requires_grad=False)


def convert(network: nn.Module, length: int, mask_slots: int | None, *, pooling_mask: bool = False) -> bytes:
    """Convert a network.

    Args:
        network: in evaluation mode.
        length: number of tokens of the one signature, ``serving_default``.
        mask_slots: size of ``mask_positions``, or None when the network takes none.
        pooling_mask: whether the network takes one.

    Returns:
        A ``.tflite`` file with int32 inputs by the network's argument names, ``position_ids`` included, and
        float32 outputs by the names of its output dictionary.
    """
    # A tensor of its own for each: the export takes one object under two names for one input.
    rows = ("input_ids", "attention_mask", "token_type_ids", *(("pooling_mask",) if pooling_mask else ()))
    inputs = {name: torch.ones(1, length, dtype=torch.int32) for name in rows}
    if mask_slots:
        inputs["mask_positions"] = torch.zeros(1, mask_slots, dtype=torch.int32)
    inputs["position_ids"] = torch.arange(length, dtype=torch.int32)
    with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        # Weights by reference instead of as attributes of the intermediate language: half the time, and
        # 300 MB less for 41 M parameters.
        converted = litert_torch.convert(network, sample_kwargs=inputs, lightweight_conversion=True)
        content: bytes = converted.model_content()
    return content
