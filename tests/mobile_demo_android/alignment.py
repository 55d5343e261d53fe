"""Whether native libraries can be loaded on a phone whose memory pages have 16 KB.

Such a phone maps a library from the APK as it lies there, so both the library's segments and its place in the
APK have to begin at a multiple of the page.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

PAGE = 16 * 1024
_LOAD = 1
_LOCAL_HEADER = 30  # of an entry of a ZIP file, without its name and its extra field


def segment_alignment(library: bytes) -> int:
    """The smallest alignment of an ELF file's loadable segments.

    Raises:
        ValueError: it is no ELF file of 64 bits, least significant byte first, or has no such segment.
    """
    if library[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no ELF file of 64 bits")
    (table,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    found: list[int] = []
    for at in range(table, table + size * count, size):
        kind, _, offset, address = struct.unpack_from("<IIQQ", library, at)
        (alignment,) = struct.unpack_from("<Q", library, at + 48)
        if kind == _LOAD:
            # What is not where its alignment says is aligned less.
            found.append(min(alignment, _power_of_two(offset - address)))
    if not found:
        raise ValueError("no loadable segment")
    return min(found)


def misaligned(apk: Path, page: int = PAGE) -> Iterator[str]:
    """One line for each native library in an APK that such a phone cannot map."""
    with ZipFile(apk) as packed, apk.open("rb") as raw:
        for entry in packed.infolist():
            if not entry.filename.endswith(".so"):
                continue
            if entry.compress_type != ZIP_STORED:
                yield f"{entry.filename} is compressed"
            raw.seek(entry.header_offset + 26)
            name, extra = struct.unpack("<HH", raw.read(4))
            place = entry.header_offset + _LOCAL_HEADER + name + extra
            if place % page:
                yield f"{entry.filename} begins at {place}, which is no multiple of {page}"
            if (aligned := segment_alignment(packed.read(entry))) < page:
                yield f"{entry.filename} has segments aligned to {aligned} bytes"


def native_libraries(apk: Path) -> list[str]:
    """The paths of the native libraries in an APK."""
    with ZipFile(apk) as packed:
        return [name for name in packed.namelist() if name.endswith(".so")]


def _power_of_two(number: int) -> int:
    """The largest power of two that divides a number; as much as can be for zero."""
    return number & -number or 1 << 62
