"""Since which API level Android has a class, a method or a field: R8's database, up to API 31.

R8 ships it to know what an app's code may call on an old phone. It was made of the platform's
``api-versions.xml`` and holds R8's hash of each reference instead of names: for a method, of its class, name,
parameters and result. So it says, too, whether a descriptor is right.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from functools import cache
from zipfile import ZipFile

NEWEST = 31
_FOLDER = "api_database/api_database_"
_ARRAY_HEADER = 23  # of an int[] or a byte[] that Java serialised; then come its length and its values
_PARAMETER = re.compile(r"\[*(?:[ZBCSIJFD]|L[^;]+;)")


class Levels:
    """What ``api_database/`` in R8's jar says.

    A hash that two references share has no level of its own; such references (127 hashes) count as unknown.
    """

    def __init__(self, r8: ZipFile) -> None:
        hashes = r8.read(f"{_FOLDER}hash_lookup.ser")[_ARRAY_HEADER:]
        levels = r8.read(f"{_FOLDER}api_level.ser")[_ARRAY_HEADER:]
        (count,) = struct.unpack_from(">i", hashes)
        self._levels = dict(zip(struct.unpack_from(f">{count}i", hashes, 4), levels[4:], strict=True))

    def type(self, descriptor: str) -> int | None:
        """The level of a class, or None where it has no such class up to API 31."""
        return self._found(_string(descriptor))

    def field(self, owner: str, name: str, descriptor: str) -> int | None:
        """The level of a field of exactly this type."""
        return self._found(_string(owner) + 7 * _string(descriptor) + 31 * _string(name))

    def method(self, owner: str, name: str, parameters: Sequence[str], result: str) -> int | None:
        """The level of a method of exactly these types."""
        short = "".join(each if len(each) == 1 else "L" for each in (result, *parameters))
        types = 7 * _string(short) + 13 * _string(result) + 31 * _list(map(_string, parameters))
        return self._found(7 * _string(owner) + 29 * types + 31 * _string(name))

    def reference(self, owner: str, name: str, descriptor: str) -> int | None:
        """The level of a method or a field as class files refer to it."""
        if not descriptor.startswith("("):
            return self.field(owner, name, descriptor)
        parameters, result = descriptor[1:].split(")")
        return self.method(owner, name, _PARAMETER.findall(parameters), result)

    def _found(self, value: int) -> int | None:
        level = self._levels.get((value + 2**31) % 2**32 - 2**31)
        return level if level and level <= NEWEST else None


@cache
def _string(text: str) -> int:
    # Its bytes end with a zero, as they do in a dex file.
    return 7 * len(text) + _list([*text.encode(), 0])


def _list(values: Iterable[int]) -> int:
    """As Java's ``Arrays.hashCode`` has it."""
    total = 1
    for value in values:
        total = (31 * total + value) % 2**32
    return total
