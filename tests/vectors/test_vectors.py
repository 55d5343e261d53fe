"""The vectors say what the Python runtime and Hugging Face's tokenizers do today."""

from pathlib import Path

import pytest

from bertmobile.bundle import verify_bundle
from bertmobile.manifest import read_manifest
from tests.vectors.write import VECTORS, documents

REMEDY = "write the vectors anew: python -m tests.vectors.write"


@pytest.fixture(scope="module")
def current() -> dict[Path, str]:
    return documents()


def test_the_files_are_those_that_would_be_written_now(current: dict[Path, str]) -> None:
    for path, text in current.items():
        # Not compared by assert, which would print the difference of half a megabyte.
        same = path.is_file() and path.read_bytes() == text.encode()
        assert same, f"{path} is out of date; {REMEDY}"
    assert {path for path in VECTORS.rglob("*") if path.is_file()} <= current.keys(), REMEDY


def test_the_files_are_small_enough_to_live_in_the_repository(current: dict[Path, str]) -> None:
    assert sum(len(text.encode()) for text in current.values()) < 2_000_000


def test_the_bundle_is_a_valid_one() -> None:
    folder = VECTORS / "bundle"
    verify_bundle(folder, read_manifest(folder), allow_unverified=False)
