"""The Kotlin compiler, and what it made, for all tests here."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.mobile_demo_android.downloads import Unreachable
from tests.mobile_demo_android.kotlin import Toolchain, Workshop, missing

_Fetched = TypeVar("_Fetched")


def fetched(fetch: Callable[[], _Fetched]) -> _Fetched:
    """What ``fetch`` gives; the test is skipped where a registry cannot be reached."""
    try:
        return fetch()
    except Unreachable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    if missing() and not os.environ.get("CI"):
        pytest.skip(f"needs {', '.join(missing())}")
    return fetched(Toolchain.fetch)


@pytest.fixture(scope="session")
def workshop(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(toolchain, tmp_path_factory.mktemp("kotlin"))
