"""Devices that the real adb reaches, and the real runner for them."""

import platform
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bertmobile_bench.device.build import build
from tests.benchmarks.device.adb_server import adb, need, need_linux, private_address, serving, wait_for
from tests.benchmarks.device.fake_device import PHONE, FakeDevice
from tests.exports import Exports

# Of this machine, which is the device.
ABI = f"linux-{platform.machine()}"


@pytest.fixture(scope="session")
def libraries() -> list[Path]:
    """The runtime libraries of the packages that are installed here."""
    folders = [
        Path(next(iter(found.submodule_search_locations or [])))
        for found in map(find_spec, ("ai_edge_litert", "onnxruntime"))
        if found
    ]
    return [folders[0] / "libLiteRt.so", next(folders[1].glob("capi/libonnxruntime.so.*"))]


@pytest.fixture(scope="session")
def builds(exports: Exports, libraries: list[Path]) -> Path:
    """The runner for this machine; a device that claims to be an Android one gets the same."""
    need("gcc")
    need_linux()

    def make(folder: Path) -> Path:
        build(ABI, ["gcc"], libraries, folder)
        (folder / PHONE["ro.product.cpu.abi"]).symlink_to(ABI)
        return folder

    return exports.once("runner", make)


@pytest.fixture
def bundles(exports: Exports) -> dict[str, Path]:
    """Bundles for both engines, by target."""
    return {target: exports("fill-mask", "int8", target=target).bundle for target in ("tflite", "onnx")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an adb server that the environment names while the tests of a file run."""
    need_linux()
    with serving(tmp_path_factory.mktemp("adb")) as address, private_address(address):
        yield address


class Devices:
    """Fake devices that are connected until the test ends."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack, self._count = folder, stack, 0

    def __call__(self, **options: Any) -> FakeDevice:
        """Connect one; see :class:`FakeDevice`."""
        self._count += 1
        device = self._stack.enter_context(FakeDevice(self._folder / f"device-{self._count}", **options))
        self._stack.callback(adb, "disconnect", device.serial)
        adb("connect", device.serial)
        return device

    def offline(self) -> FakeDevice:
        """One that has not answered since it was connected."""
        device = self()
        device.drop()
        wait_for(lambda: f"{device.serial}\toffline" in adb("devices").stdout, "offline")
        return device


@pytest.fixture
def devices(server: str, tmp_path: Path) -> Iterator[Devices]:
    with ExitStack() as stack:
        yield Devices(tmp_path, stack)
