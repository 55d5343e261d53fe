"""Archives hold what was put in, as the kernel's documentation of the format has it."""

import io
import stat
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from bertmobile_bench.emulator import cpio

HEADER = 6 + 13 * 8
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
ENTRIES = st.one_of(
    st.builds(cpio.folder, NAMES),
    st.builds(cpio.file, NAMES, st.binary(max_size=50), st.sampled_from([0o644, 0o755])),
    st.builds(cpio.link, NAMES, NAMES),
    st.builds(cpio.device, NAMES, st.integers(0, 255), st.integers(0, 255)),
)


def read(archive: bytes) -> Iterator[cpio.Entry]:
    """The entries, read by the rules of the kernel's early-userspace/buffer-format.rst."""
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701" and at % 4 == 0
        fields = [int(archive[i : i + 8], 16) for i in range(at + 6, at + HEADER, 8)]
        size, major, minor, length = fields[6], fields[9], fields[10], fields[11]
        name = archive[at + HEADER : at + HEADER + length]
        assert name.endswith(b"\0")
        begin = at + -(-(HEADER + length) // 4) * 4
        if name == b"TRAILER!!!\0":
            assert len(archive) == begin
            return
        data = archive[begin : begin + size]
        assert len(data) == size
        yield cpio.Entry(name[:-1].decode(), fields[1], data, (major, minor))
        at = begin + -(-size // 4) * 4


def written(entries: list[cpio.Entry]) -> bytes:
    archive = io.BytesIO()
    cpio.write(archive, entries)
    return archive.getvalue()


@given(st.lists(ENTRIES, max_size=6))
def test_what_is_written_can_be_read(entries: list[cpio.Entry]) -> None:
    assert list(read(written(entries))) == entries


def test_every_entry_has_an_inode_of_its_own() -> None:
    """Equal ones would be taken for hard links."""
    archive = written([cpio.file("a", b"1"), cpio.file("b", b"2")])
    first, second = (archive[at + 6 : at + 14] for at in (0, archive.index(b"070701", 6)))
    assert first != second


def test_types_are_those_of_the_kernel() -> None:
    console = cpio.device("dev/console", 5, 1)
    assert stat.S_ISCHR(console.mode) and stat.S_ISLNK(cpio.link("a", "b").mode)
