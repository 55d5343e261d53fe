"""The Kotlin compiler, and what it makes, for all tests here."""

import os
import platform
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.exports import Exports
from tests.mobile_demo_android.android import AndroidBuild, obstacle
from tests.mobile_demo_android.downloads import Unreachable
from tests.mobile_demo_android.engines import Engines, Libraries
from tests.mobile_demo_android.kotlin import Toolchain, Workshop, missing

_Fetched = TypeVar("_Fetched")


def fetched(fetch: Callable[[], _Fetched]) -> _Fetched:
    """What ``fetch`` gives; the test is skipped where a registry cannot be reached."""
    try:
        return fetch()
    except Unreachable as reason:
        pytest.skip(f"skipped: {reason}")


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    if missing() and not os.environ.get("CI"):
        pytest.skip(f"needs {', '.join(missing())}")
    return fetched(Toolchain.fetch)


@pytest.fixture(scope="session")
def workshop(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(toolchain, tmp_path_factory.mktemp("kotlin"))


@pytest.fixture(scope="session")
def engines(toolchain: Toolchain, exports: Exports) -> Engines:
    """Both engines on a JVM, compiled by the first process that asks for them."""
    if platform.machine() != "x86_64":
        pytest.skip("the library of ONNX Runtime's Java API that is at hand is for x86-64")
    libraries = fetched(Libraries.fetch)
    return exports.once("engines on a JVM", lambda folder: Engines.build(toolchain, libraries, folder))


@pytest.fixture(scope="session")
def android(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> AndroidBuild:
    """Builds the app against Android's API."""
    if (reason := obstacle()) and not os.environ.get("CI"):
        pytest.skip(reason)
    build = AndroidBuild(toolchain, tmp_path_factory.mktemp("android"))
    fetched(lambda: (build.sdk, build.onnxruntime))
    return build
