"""Files with the inputs of runs, which the native runner reads, and with their outputs, which it writes.

All numbers are little-endian. ``BMC1``, then the number of samples (uint32). A sample is the name of its
signature, the number of its tensors (uint32), and these. A tensor is its name, ONNX's number of its element
type (uint32: 1 float32, 6 int32, 7 int64), its rank (uint32), each size (int64), its bytes (uint64), and the
values. A name is its length in bytes (uint32) and UTF-8.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.errors import BertMobileError

_MAGIC = b"BMC1"
_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 6: np.dtype("<i4"), 7: np.dtype("<i8")}
_CODES = {dtype: code for code, dtype in _TYPES.items()}
_MAX_RANK = 8


@dataclass(frozen=True)
class Sample:
    """The tensors of a run by name, and the signature that takes or gave them."""

    signature: str
    tensors: Mapping[str, NDArray[Any]]


def write_cases(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples of float32, int32 and int64 tensors."""
    written = list(samples)
    with path.open("wb") as file:
        file.write(_MAGIC + struct.pack("<I", len(written)))
        for sample in written:
            file.write(_name(sample.signature) + struct.pack("<I", len(sample.tensors)))
            for name, values in sample.tensors.items():
                little = values.astype(values.dtype.newbyteorder("<"), order="C", copy=False)
                file.write(_name(name) + struct.pack("<II", _CODES[little.dtype], little.ndim))
                file.write(struct.pack(f"<{little.ndim}qQ", *little.shape, little.nbytes))
                file.write(little.tobytes())


def read_cases(path: Path) -> list[Sample]:
    """Read what :func:`write_cases`, or the runner, wrote.

    Raises:
        BertMobileError: the file holds something else, or ends too early.
    """
    reader = _Reader(path.read_bytes(), path.name)
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise reader.damaged()
    samples = []
    for _ in range(reader.number()):
        signature, count = reader.name(), reader.number()
        samples.append(Sample(signature, dict(reader.tensor() for _ in range(count))))
    if reader.rest:
        raise reader.damaged()
    return samples


def _name(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<I", len(encoded)) + encoded


class _Reader:
    """Takes fields off the front of a file's bytes."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name, self._at = data, name, 0

    @property
    def rest(self) -> int:
        return len(self._data) - self._at

    def damaged(self) -> BertMobileError:
        return BertMobileError(f"{self._name} is no file of tensors, or was cut off; run again")

    def take(self, size: int) -> bytes:
        if size > self.rest:
            raise self.damaged()
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def name(self) -> str:
        try:
            return self.take(self.number()).decode()
        except UnicodeDecodeError as failure:
            raise self.damaged() from failure

    def tensor(self) -> tuple[str, NDArray[Any]]:
        name, code, rank = self.name(), self.number(), self.number()
        if code not in _TYPES or rank > _MAX_RANK:
            raise self.damaged()
        *shape, size = struct.unpack(f"<{rank}qQ", self.take(8 * rank + 8))
        dtype = _TYPES[code]
        if min(shape, default=0) < 0 or size != int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise self.damaged()
        values = np.frombuffer(self.take(size), dtype)
        try:
            return name, values.reshape(shape)
        except ValueError as failure:  # one axis is 0, and another longer than can be
            raise self.damaged() from failure
