"""Codes of a few bits as bytes."""

import numpy as np
from numpy.typing import NDArray


def pack_bits(codes: NDArray[np.int8 | np.uint8], bits: int) -> NDArray[np.uint8]:
    """Pack codes in order without gaps, the first one into the lowest bits.

    LiteRT, ONNX Runtime and Core ML (for palettes before iOS 18) all read them so.

    Args:
        codes: any shape, int8 or uint8; only the lowest ``bits`` bits of each are kept.
        bits: 1 to 8.

    Returns:
        [ceil(count * bits / 8)] uint8; what is left of the last byte is 0.
    """
    flat = np.ascontiguousarray(codes).reshape(-1).view(np.uint8)
    if bits == 8:
        return flat
    # Eight codes fill ``bits`` whole bytes, so the eight columns can be shifted in one after the other.
    values = np.zeros((-(-flat.size // 8), 8), np.uint8)
    values.reshape(-1)[: flat.size] = flat & (2**bits - 1)
    packed = np.zeros((len(values), bits), np.uint8)
    for column in range(8):
        byte, shift = divmod(column * bits, 8)
        packed[:, byte] |= values[:, column] << shift
        if shift + bits > 8:
            packed[:, byte + 1] |= values[:, column] >> (8 - shift)
    return packed.reshape(-1)[: -(-flat.size * bits // 8)]
