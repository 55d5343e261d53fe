"""What a device says of itself, and what is made of it."""

import pytest

from bertmobile_bench.device import readings
from bertmobile_bench.device.adb import Device
from bertmobile_bench.device.trust import doubts

DEVICE = Device("serial")
LINUX = {"android": "", "machine": "aarch64", "kernel": "6.1.0", "hostname": "board", "cpu": "", "cores": "4"}
UNKNOWN = {
    "governor": None,
    "frequency_khz": None,
    "load_average": None,
    "temperature_celsius": None,
    "battery_percent": None,
    "thermal_status": None,
    "screen_on": None,
}


def test_a_reading_that_is_not_to_be_had_is_none() -> None:
    assert readings.changing({}) == UNKNOWN
    assert (
        readings.changing(dict.fromkeys(("governor", "load", "temperature", "battery", "thermal"), ""))
        == UNKNOWN
    )


@pytest.mark.parametrize(
    ("said", "key", "value"),
    [
        ({"load": "0.52"}, "load_average", 0.52),
        ({"load": "much"}, "load_average", None),
        ({"temperature": "42500"}, "temperature_celsius", 42.5),
        ({"temperature": "42"}, "temperature_celsius", None),
        ({"temperature": "-40000"}, "temperature_celsius", None),
        ({"temperature": "2147483647"}, "temperature_celsius", None),
        ({"battery": "0"}, "battery_percent", 0),
        ({"thermal": "0"}, "thermal_status", 0),
        ({"thermal": "3"}, "thermal_status", 3),
        ({"wakefulness": "Awake"}, "screen_on", True),
        ({"wakefulness": "Dozing"}, "screen_on", False),
        ({"frequency_khz": "1800000"}, "frequency_khz", 1_800_000),
        ({"governor": "schedutil"}, "governor", "schedutil"),
    ],
)
def test_a_reading_has_its_unit(said: dict[str, str], key: str, value: object) -> None:
    assert readings.changing(said) == {**UNKNOWN, key: value}


def test_a_phone_is_named_by_its_maker_and_a_board_by_its_host() -> None:
    phone = {
        **LINUX,
        "android": "15",
        "model": "Acme Phone 9",
        "soc": "Acme A1",
        "fingerprint": "f",
        "abi": "a",
    }
    found = readings.describe(DEVICE, phone)
    assert (found["name"], found["cpu"], found["os"], found["os_version"]) == (
        "Acme Phone 9", "Acme A1", "android", "15",
    )  # fmt: skip
    board = readings.describe(DEVICE, LINUX)
    assert (board["name"], board["cpu"], board["os"], board["os_version"]) == (
        "board", None, "linux-glibc", "6.1.0",
    )  # fmt: skip
    assert (readings.abi(phone), readings.abi(LINUX)) == ("a", "linux-aarch64")


@pytest.mark.parametrize(("key", "value"), [("qemu", "1"), ("board", "linux,dummy-virt ")])
def test_an_emulated_device_is_known_as_one(key: str, value: str) -> None:
    assert readings.describe(DEVICE, {**LINUX, key: value})["emulated"] is True
    assert readings.describe(DEVICE, LINUX)["emulated"] is False


def test_readings_tell_what_is_not_to_be_trusted() -> None:
    def of(os: str = "android", after: int | None = None, **more: object) -> list[str]:
        return list(doubts({**UNKNOWN, "os": os, "after": {**UNKNOWN, "thermal_status": after}, **more}))

    assert of() == of(after=0) == of(battery_percent=20, screen_on=True) == of(load_average=9.0) == []
    assert of(after=1) == ["throttled: thermal status 1"]
    assert "19 %" in of(battery_percent=19)[0] and "screen" in of(screen_on=False)[0]
    assert of("linux-glibc", load_average=0.5) == [] and "0.6" in of("linux-glibc", load_average=0.6)[0]
