"""The weight file of a package: MIL blob storage, version 2, memory-mapped.

A header of 64 bytes, then for each blob 64 bytes of metadata and the data, all aligned to 64 bytes. The
program refers to a blob by the offset of its metadata. Values of fewer than 8 bits are packed without gaps,
the first one in the lowest bits (coremltools, mlmodel/src/MILBlob/Blob/StorageFormat.hpp).
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.errors import BundleError

Array = NDArray[Any]

VERSION = 2
_HEADER = struct.Struct("<2I")  # number of blobs, version
_METADATA = struct.Struct("<2I2Q")  # sentinel, data type, bytes, offset
_SENTINEL = 0xDEADBEEF
# The data types of blobs, by the number in their metadata.
_BLOB_DTYPES = {
    1: "fp16",
    2: "fp32",
    3: "uint8",
    4: "int8",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}
# How MIL's data types are stored; those of fewer than 8 bits take the given number of bits.
STORAGE: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "fp16": np.dtype("<f2"),
    "fp32": np.dtype("<f4"),
    "int8": np.dtype(np.int8),
    "int16": np.dtype("<i2"),
    "int32": np.dtype("<i4"),
    "uint8": np.dtype(np.uint8),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
}
_PACKED_BITS = {"uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "int4": 4, "uint6": 6}


def unpack_bits(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Unsigned values of ``bits`` bits each, the first one in the lowest bits.

    Args:
        packed: [ceil(count * bits / 8)] uint8.
        bits: 1 to 8.
        count: number of values.

    Returns:
        [count] uint8.
    """
    # Eight values fill ``bits`` whole bytes, so the eight columns can be shifted out one after the other.
    rows = -(-count // 8)
    groups = np.zeros((rows, bits), np.uint8)
    groups.reshape(-1)[: packed.size] = packed
    values = np.empty((rows, 8), np.uint8)
    for column in range(8):
        byte, shift = divmod(column * bits, 8)
        value = groups[:, byte] >> shift
        if shift + bits > 8:
            value |= groups[:, byte + 1] << (8 - shift)
        values[:, column] = value & (2**bits - 1)
    return values.reshape(-1)[:count]


def stored_bytes(dtype: str, count: int) -> int:
    """Size of ``count`` values of a data type in the file."""
    if dtype in _PACKED_BITS:
        return -(-count * _PACKED_BITS[dtype] // 8)
    return count * STORAGE[dtype].itemsize


def decode(data: NDArray[np.uint8], dtype: str, count: int) -> Array:
    """Values from their stored bytes.

    Args:
        data: [stored_bytes(dtype, count)] uint8.
        dtype: name of a MIL data type.
        count: number of values.

    Returns:
        [count]; a view where the values are whole bytes, else int8 or uint8.
    """
    if dtype not in _PACKED_BITS:
        return data.view(STORAGE[dtype])
    values = unpack_bits(data, _PACKED_BITS[dtype], count)
    return (values ^ 8).astype(np.int8) - np.int8(8) if dtype == "int4" else values


class WeightFile:
    """One weight file; the values it gives are views of the mapped file."""

    def __init__(self, path: Path) -> None:
        """Map a file.

        Raises:
            BundleError: no such file, or not one of this format and version.
        """
        self._name = path.name
        if not path.is_file():
            raise BundleError(f"the weights {path.name} of the package are missing; export the bundle again")
        if path.stat().st_size < _HEADER.size:
            raise self._damaged("it is too short")
        self._data: NDArray[np.uint8] = np.asarray(np.memmap(path, np.uint8, "r"))
        version = _HEADER.unpack(self._data[: _HEADER.size].tobytes())[1]
        if version != VERSION:
            raise self._damaged(f"its format version is {version}, not {VERSION}")

    def _damaged(self, reason: str) -> BundleError:
        return BundleError(
            f"the weights {self._name} of the package are damaged: {reason}; export the bundle again"
        )

    def read(self, offset: int, dtype: str, count: int) -> Array:
        """The values of one blob.

        Args:
            offset: position of the blob's metadata.
            dtype: the data type that the program declares.
            count: how many values the program declares.

        Raises:
            BundleError: there is no such blob.
        """
        if offset + _METADATA.size > self._data.size:
            raise self._damaged(f"the blob at {offset} lies outside of its {self._data.size} bytes")
        metadata = self._data[offset : offset + _METADATA.size].tobytes()
        sentinel, number, size, start = _METADATA.unpack(metadata)
        if sentinel != _SENTINEL:
            raise self._damaged(f"there is no blob at {offset}")
        stored = _BLOB_DTYPES.get(number, f"type {number}")
        if stored != dtype or size != stored_bytes(dtype, count):
            raise self._damaged(
                f"the blob at {offset} holds {size} bytes of {stored}, not {count} values of {dtype}"
            )
        if start + size > self._data.size:
            raise self._damaged(
                f"the data of the blob at {offset} end outside of its {self._data.size} bytes"
            )
        return decode(self._data[start : start + size], dtype, count)
