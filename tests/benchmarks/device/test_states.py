"""What adb sees: devices in every state, and what their owner is told."""

import json
from pathlib import Path

import pytest

from bertmobile.errors import MissingToolError, UsageError
from bertmobile_bench.cli import main
from bertmobile_bench.device.adb import Device, DeviceError, Listed, Server, choose, choose_all, parse_devices
from tests.benchmarks.device.adb_server import adb, free_port, serving
from tests.benchmarks.device.conftest import Devices
from tests.benchmarks.device.fake_device import PHONE, SERVICES, Faults

STATES = {
    "unauthorized": (Faults(unauthorized=True), "accept this computer's key"),
    "recovery": (Faults(state="recovery"), "start Android"),
    "sideload": (Faults(state="sideload"), "start Android"),
    "bootloader": (Faults(state="bootloader"), "start Android"),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_named_with_its_remedy(devices: Devices, state: str) -> None:
    faults, remedy = STATES[state]
    device = devices(faults=faults)
    for serial in (None, device.serial):
        with pytest.raises(DeviceError, match=f"{device.serial} is {state}: .*{remedy}") as caught:
            choose(Server(), serial)
        assert caught.value.exit_code == 1


def test_a_device_that_went_away_is_offline(devices: Devices) -> None:
    device = devices.offline()
    with pytest.raises(DeviceError, match=f"{device.serial} is offline: replug it"):
        choose(Server(), None)


def test_a_ready_device_is_taken_before_one_that_is_not(devices: Devices) -> None:
    devices(faults=Faults(unauthorized=True))
    ready = devices()
    assert choose(Server(), None).serial == ready.serial


def test_no_device_at_all(devices: Devices, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeviceError, match="connect one with USB debugging"):
        choose(Server(), None)
    with pytest.raises(DeviceError, match="no device that is ready"):
        choose_all((), None, every=True)
    assert main(["devices"]) == 0
    assert "connect one" in capsys.readouterr().out


def test_two_devices_are_refused_by_name_unless_one_is_chosen(devices: Devices) -> None:
    both = devices(), devices()
    with pytest.raises(UsageError, match="--all-devices") as caught:
        choose_all((), None, every=False)
    assert all(device.serial in str(caught.value) for device in both) and caught.value.exit_code == 2
    assert choose_all((), both[1].serial, every=False) == [Device(both[1].serial)]
    assert {device.serial for device in choose_all((), None, every=True)} == {each.serial for each in both}


def test_an_unknown_serial_is_refused_with_the_known_ones_and_never_run(
    devices: Devices, tmp_path: Path
) -> None:
    device = devices()
    for serial in (f"x; touch {tmp_path}/run", f"$(touch {tmp_path}/run)", "it's", '"'):
        with pytest.raises(DeviceError, match=f"it sees: {device.serial}") as caught:
            choose(Server(), serial)
        assert serial in str(caught.value)
        with pytest.raises(DeviceError):
            Device(serial).shell("true")
    assert not (tmp_path / "run").exists()


def test_a_device_that_goes_away_in_the_middle_is_lost(devices: Devices) -> None:
    device = devices(faults=Faults(drop_at="uname"))
    with pytest.raises(DeviceError, match=f"{device.serial} was lost: .*still connected"):
        Device(device.serial).shell("uname")


def test_without_adb_the_command_ends_with_4_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError):
        Server().devices()
    assert main(["devices"]) == 4
    assert "apt-get install adb" in capsys.readouterr().err


def test_the_list_says_what_each_device_lacks(devices: Devices, capsys: pytest.CaptureFixture[str]) -> None:
    phone = devices(
        properties={**PHONE, "ro.boot.qemu": "1"},
        services={**SERVICES, "battery": "  level: 7\n", "power": "mWakefulness=Asleep\n"},
    )
    locked, old = devices(faults=Faults(unauthorized=True)), devices(faults=Faults(shell_v2=False))
    ready = devices(properties=PHONE, services=SERVICES)
    assert main(["devices", "--json"]) == 0
    rows = {row["serial"]: row for row in json.loads(capsys.readouterr().out)["devices"]}
    assert rows[locked.serial]["missing"] == ["unlock its screen and accept this computer's key"]
    assert "Android 7" in rows[old.serial]["missing"][0]
    missing = " ".join(rows[phone.serial]["missing"])
    assert all(part in missing for part in ("battery was at 7 %", "screen was off", "a real processor"))
    assert rows[ready.serial] == {
        "serial": ready.serial,
        "state": "device",
        "name": "Acme Phone 9",
        "cpu": "Acme A1",
        "os": "android 15",
        "abi": "x86_64",
        "emulated": False,
        "missing": [],
    }
    assert main(["devices"]) == 0
    assert "nothing" in capsys.readouterr().out


def test_devices_of_another_server_are_found_there(
    devices: Devices, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port = free_port()
    device = devices()
    adb("disconnect", device.serial)
    with serving(tmp_path_factory.mktemp("rack"), f"tcp:{port}"):
        adb("-P", str(port), "connect", device.serial)
        (found,) = choose_all((f"127.0.0.1:{port}",), None, every=False)
        assert found.name == f"127.0.0.1:{port}/{device.serial}"
        assert found.shell("echo here").strip() == "here"
        own = devices()
        every = choose_all((f"127.0.0.1:{port}",), None, every=True)
        assert [each.name for each in every] == [own.serial, found.name]


@pytest.mark.parametrize("address", ["rack", "rack:", ":5037", "rack:port"])
def test_an_address_without_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        Server(address).devices()


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    # A port of nobody's, of an address that adb does not start a server for.
    with pytest.raises(DeviceError, match=r"the adb server 127\.1\.1\.1:9 does not answer"):
        Server("127.1.1.1:9").devices()


def test_the_list_is_read_as_adb_writes_it() -> None:
    said = """* daemon started successfully
List of devices attached
0123456789ABCDEF\tdevice
emulator-5554\toffline
????????????\tno permissions (user in plugdev group; are your udev rules wrong?); see [http://x]
two words\tunauthorized

"""
    assert parse_devices(said) == [
        Listed("0123456789ABCDEF", "device"),
        Listed("emulator-5554", "offline"),
        Listed("????????????", "no permissions"),
        Listed("two words", "unauthorized"),
    ]
