"""The check of native libraries tells a library for pages of 16 KB from one that is not."""

import subprocess
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from tests.mobile_demo_android.alignment import PAGE, misaligned, segment_alignment
from tests.mobile_demo_android.checks import Skipped, check_alignment
from tests.mobile_demo_android.downloads import missing

NAME = "lib/x86_64/libempty.so"
_HEADER = 30

pytestmark = pytest.mark.skipif(bool(missing("gcc")), reason="needs gcc")


def library(folder: Path, page: int) -> bytes:
    """A shared library whose segments are aligned to pages of this size."""
    source, linked = folder / "empty.c", folder / f"libempty-{page}.so"
    source.write_text("int answer = 42; int *where(void) { return &answer; }")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-Wl,-z,max-page-size={page}", "-o", linked, source], check=True
    )
    return linked.read_bytes()


def apk(folder: Path, content: bytes, compression: int = ZIP_STORED, shift: int = 0) -> Path:
    """An APK with a library that begins ``shift`` bytes behind a page."""
    path = folder / "app.apk"
    entry = ZipInfo(NAME)
    entry.compress_type = compression
    before = ZipInfo("before")
    head = 2 * _HEADER + len(before.filename) + len(NAME)
    with ZipFile(path, "w") as packed:
        packed.writestr(before, bytes(PAGE - head + shift))
        packed.writestr(entry, content)
    return path


@pytest.mark.parametrize("page", [4096, PAGE, 4 * PAGE])
def test_the_alignment_of_segments_is_that_of_the_linker(tmp_path: Path, page: int) -> None:
    assert segment_alignment(library(tmp_path, page)) == page


def test_a_library_for_pages_of_16_kb_passes(tmp_path: Path) -> None:
    path = apk(tmp_path, library(tmp_path, PAGE))
    assert list(misaligned(path)) == []
    assert check_alignment(path) == ""


def test_a_library_for_pages_of_4_kb_is_named(tmp_path: Path) -> None:
    path = apk(tmp_path, library(tmp_path, 4096))
    assert list(misaligned(path)) == [f"{NAME} has segments aligned to 4096 bytes"]
    assert NAME in check_alignment(path)


def test_a_library_between_two_pages_of_the_apk_is_named(tmp_path: Path) -> None:
    path = apk(tmp_path, library(tmp_path, PAGE), shift=4096)
    assert list(misaligned(path)) == [f"{NAME} begins at {PAGE + 4096}, which is no multiple of {PAGE}"]


def test_a_compressed_library_is_named(tmp_path: Path) -> None:
    path = apk(tmp_path, library(tmp_path, PAGE), ZIP_DEFLATED)
    assert list(misaligned(path)) == [f"{NAME} is compressed"]


def test_an_apk_without_libraries_is_skipped_and_has_not_passed(tmp_path: Path) -> None:
    path = tmp_path / "app.apk"
    with ZipFile(path, "w") as packed:
        packed.writestr("classes.dex", b"")
    with pytest.raises(Skipped, match="no native library"):
        check_alignment(path)


def test_what_is_no_library_is_refused() -> None:
    with pytest.raises(ValueError, match="no ELF file of 64 bits"):
        segment_alignment(b"#!/bin/sh")
