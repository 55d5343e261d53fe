"""What is packed comes back: bit by bit, as the engines and the evaluator read it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertmobile.engines.mlprogram.weights import unpack_bits
from bertmobile_export.quantization.packing import pack_bits


@settings(deadline=None, max_examples=200)
@given(bits=st.integers(1, 8), count=st.integers(1, 70), seed=st.integers(0, 2**16))
def test_packed_codes_come_back(bits: int, count: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 2**bits, count).astype(np.uint8)
    packed = pack_bits(codes, bits)
    assert packed.dtype == np.uint8 and packed.size == -(-count * bits // 8)
    assert np.array_equal(unpack_bits(packed, bits, count), codes)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_negative_codes_keep_their_lowest_bits(bits: int) -> None:
    codes = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1), dtype=np.int8)
    kept = codes.view(np.uint8) & (2**bits - 1)
    assert np.array_equal(unpack_bits(pack_bits(codes, bits), bits, codes.size), kept)


def test_the_first_of_two_codes_lies_in_the_low_half_of_a_byte() -> None:
    assert pack_bits(np.array([1, 2, -1], np.int8), 4).tolist() == [0x21, 0x0F]
