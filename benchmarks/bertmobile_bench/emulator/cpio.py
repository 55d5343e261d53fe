"""The archive that a Linux kernel unpacks as its first file system (cpio, format "newc")."""

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

_END = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """A file, folder, link or device, owned by root.

    Attributes:
        path: without a leading slash.
        mode: type and permissions, as ``st_mode`` has them.
        data: content of a file, target of a link.
        device: major and minor number of a device.
    """

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(path: str, permissions: int = 0o755) -> Entry:
    """A folder."""
    return Entry(path, stat.S_IFDIR | permissions)


def file(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(path, stat.S_IFREG | permissions, data)


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def device(path: str, major: int, minor: int) -> Entry:
    """A character device."""
    return Entry(path, stat.S_IFCHR | 0o600, device=(major, minor))


def write(archive: BinaryIO, entries: Iterable[Entry]) -> None:
    """Write an archive; the order is kept, and a folder must come before what is in it.

    No time is stored, so that the same entries make the same bytes.
    """
    for inode, entry in enumerate(entries, start=1):
        _write(archive, inode, entry)
    _write(archive, 0, Entry(_END, 0))


def _write(archive: BinaryIO, inode: int, entry: Entry) -> None:
    name = entry.path.encode() + b"\0"
    owner = group = modified = major = minor = checksum = 0
    fields = (
        inode, entry.mode, owner, group, 1, modified, len(entry.data), major, minor, *entry.device, len(name),
        checksum,
    )  # fmt: skip
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    for part in (header + name, entry.data):
        archive.write(part + bytes(-len(part) % 4))
