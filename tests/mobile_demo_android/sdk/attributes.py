"""Take an attribute of a class out of its class file.

The format is chapter 4 of the Java Virtual Machine Specification.
"""

import struct
from itertools import pairwise

_UTF8 = 1
# Bytes of the other constants behind their tags; long and double count as two constants.
_BYTES = {
    3: 4,
    4: 4,
    5: 8,
    6: 8,
    7: 2,
    8: 2,
    9: 4,
    10: 4,
    11: 4,
    12: 4,
    15: 3,
    16: 2,
    17: 4,
    18: 4,
    19: 2,
    20: 2,
}
_WIDE = (5, 6)
_POOL = 8


def without_attribute(class_file: bytes, name: str) -> bytes:
    """The class file without an attribute of the class itself; all else is as it was."""
    texts, place = _texts(class_file)
    place += 6  # access, the class, its superclass
    place += 2 + 2 * _number(class_file, place)  # interfaces
    for _ in ("fields", "methods"):
        count = _number(class_file, place)
        place += 2
        for _ in range(count):
            place = _attributes(class_file, place + 6)[-1]
    begins = _attributes(class_file, place)
    kept = [
        class_file[begin:end]
        for begin, end in pairwise(begins)
        if texts.get(_number(class_file, begin)) != name.encode()
    ]
    return class_file[:place] + struct.pack(">H", len(kept)) + b"".join(kept)


def _texts(class_file: bytes) -> tuple[dict[int, bytes], int]:
    """The texts among the constants, and where the constants end."""
    texts: dict[int, bytes] = {}
    index, place = 1, _POOL + 2
    while index < _number(class_file, _POOL):
        tag = class_file[place]
        place += 1
        if tag == _UTF8:
            size = _number(class_file, place)
            texts[index] = class_file[place + 2 : place + 2 + size]
            place += 2 + size
        else:
            place += _BYTES[tag]
        index += 1 + (tag in _WIDE)
    return texts, place


def _attributes(class_file: bytes, place: int) -> list[int]:
    """Where each attribute of a table begins, and where the table ends."""
    count = _number(class_file, place)
    begins = [place + 2]
    for _ in range(count):
        (size,) = struct.unpack_from(">I", class_file, begins[-1] + 2)
        begins.append(begins[-1] + 6 + size)
    return begins


def _number(class_file: bytes, place: int) -> int:
    (number,) = struct.unpack_from(">H", class_file, place)
    return int(number)
