"""What is known of a device; a reading that is not to be had is None, never a guess."""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from bertmobile_bench.device.adb import Device

# The name that QEMU's board for virtual machines has for itself.
_VIRTUAL_BOARD = "dummy-virt"
_HOTTEST = 150_000
_ADDRESS = re.compile(r".+:\d+|adb-.+\._tcp\.?")


def ask(device: Device) -> dict[str, str]:
    """All that the device says of itself; empty where it does not know.

    Raises:
        DeviceError: it was lost.
    """
    script = resources.files(__package__).joinpath("readings.sh").read_text(encoding="utf-8")
    said = (line.partition("=") for line in device.shell(script).splitlines())
    return {key: value.strip() for key, found, value in said if found}


def abi(said: Mapping[str, str]) -> str:
    """Which build of a native program runs there: Android's name of an ABI, or ``linux-`` and the machine."""
    return said.get("abi") or f"linux-{said['machine']}"


def describe(device: Device, said: Mapping[str, str]) -> dict[str, Any]:
    """As the schema ``results`` describes a device, but for the readings that change."""
    android = said.get("android") or None
    return {
        "kind": "adb",
        # Of a device on the network adb's own name is an address, which changes.
        "serial": (said.get("serial") if _ADDRESS.fullmatch(device.serial) else None) or device.name,
        "name": said.get("model") or said.get("hostname") or None,
        "fingerprint": said.get("fingerprint") or None,
        "os": "android" if android else "linux-glibc",
        "os_version": android or said["kernel"],
        "machine": said["machine"],
        "cpu": said.get("soc") or said.get("cpu") or None,
        "cores": _number(said.get("cores")),
        "memory_bytes": _kilobytes(said.get("memory_kb")),
        "emulated": bool(said.get("qemu")) or _VIRTUAL_BOARD in said.get("board", ""),
    }


def changing(said: Mapping[str, str]) -> dict[str, Any]:
    """The readings that change while measurements run."""
    temperature = _number(said.get("temperature"))
    load = said.get("load", "")
    awake = said.get("wakefulness")
    return {
        "governor": said.get("governor") or None,
        "frequency_khz": _number(said.get("frequency_khz")),
        "load_average": float(load) if load.replace(".", "", 1).isdigit() else None,
        # In thousandths of a degree, by Linux's convention; some drivers have others.
        "temperature_celsius": temperature / 1000 if temperature and 1000 < temperature < _HOTTEST else None,
        "battery_percent": _number(said.get("battery")),
        "thermal_status": _number(said.get("thermal")),
        "screen_on": awake == "Awake" if awake else None,
    }


def _kilobytes(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else number * 1024


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
