"""Commands and files on a device: safe names, checked copies, and folders that are gone when their run is."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from bertmobile_bench.device.adb import Device, DeviceError
from bertmobile_bench.device.folder import RunFolder
from tests.benchmarks.device.adb_server import wait_for
from tests.benchmarks.device.conftest import Devices
from tests.benchmarks.device.fake_device import TEMPORARY, FakeDevice, Faults

NAMES = (
    "plain.bin",
    "a b.bin",
    "it's.bin",
    '"quoted".bin',
    "x;touch run;.bin",
    "$(touch run)`touch run`.bin",
    "ü\\.bin",
)


@pytest.fixture
def fake(devices: Devices) -> FakeDevice:
    return devices()


@pytest.fixture
def device(fake: FakeDevice) -> Device:
    return Device(fake.serial)


def files(folder: Path) -> list[Path]:
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(bytes([number]) * (1 + 70_000 * number))
    return [folder / name for name in NAMES]


def test_files_of_any_name_arrive_and_come_back_and_nothing_in_them_is_run(
    fake: FakeDevice, device: Device, tmp_path: Path
) -> None:
    pushed = files(tmp_path / "it's; $(touch run)")
    device.push(pushed, TEMPORARY)
    assert fake.left == sorted(NAMES)
    for file in pushed:
        device.pull(f"{TEMPORARY}/{file.name}", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert not list(tmp_path.rglob("run")) and not Path("run").exists()


def test_a_byte_that_changed_on_the_way_is_noticed(devices: Devices, tmp_path: Path) -> None:
    fake = devices(faults=Faults(damages=NAMES[1]))
    with pytest.raises(DeviceError, match=rf"{NAMES[1]} arrived damaged on {fake.serial}; run .* again"):
        Device(fake.serial).push(files(tmp_path / "files"), TEMPORARY)


def test_a_full_disk_is_named(devices: Devices, tmp_path: Path) -> None:
    fake = devices(faults=Faults(full=True))
    with pytest.raises(
        DeviceError, match=rf"{fake.serial} did not take plain\.bin: .*No space left on device"
    ):
        Device(fake.serial).push(files(tmp_path / "files"), TEMPORARY)


def test_a_connection_that_ends_within_a_file_is_an_error(devices: Devices, tmp_path: Path) -> None:
    fake = devices(faults=Faults(drop_after_bytes=300_000))
    with pytest.raises(DeviceError, match=f"{fake.serial} did not take plain.bin"):
        Device(fake.serial).push(files(tmp_path / "files"), TEMPORARY)


def test_what_is_not_there_cannot_be_pulled(device: Device, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"did not give .*/nothing: .*does not exist"):
        device.pull(f"{TEMPORARY}/nothing", tmp_path / "nothing")


@pytest.mark.parametrize("shell_v2", [True, False])
def test_a_command_that_fails_is_an_error_with_its_code_and_last_line(
    devices: Devices, shell_v2: bool
) -> None:
    device = Device(devices(faults=Faults(shell_v2=shell_v2)).serial)
    assert device.shell("echo out; echo err >&2").startswith("out\n")
    with pytest.raises(DeviceError, match=r"ended with 7: .*no such thing"):
        device.shell("echo 'no such thing' >&2; exit 7")


def test_a_shell_without_exit_codes_is_refused(devices: Devices) -> None:
    fake = devices(faults=Faults(shell_v2=False))
    with pytest.raises(DeviceError, match=f"{fake.serial} has no shell_v2; take .* Android 7"):
        Device(fake.serial).require_shell_v2()


def test_a_command_that_takes_too_long_is_ended(device: Device, fake: FakeDevice) -> None:
    with pytest.raises(DeviceError, match="did not answer within"):
        device.shell("sleep 100", seconds=0.5)
    assert any("sleep 100" in name for name in fake.asked)


def test_lines_that_a_device_prints_by_itself_change_nothing(devices: Devices, tmp_path: Path) -> None:
    fake = devices(faults=Faults(garbage="echo WARNING: linker: x=1; echo more >&2; "))
    device = Device(fake.serial)
    device.push(files(tmp_path / "files"), TEMPORARY)
    with RunFolder(device) as folder:
        assert Path(fake.local(folder.path)).is_dir()


def test_a_folder_ends_with_its_run_and_what_is_to_be_done_then_is_done(
    fake: FakeDevice, device: Device
) -> None:
    with RunFolder(device) as folder:
        folder.at_close(f"echo 'it'\\''s done' > {TEMPORARY}/done")
        device.shell(f"touch {folder.path}/file")
        assert fake.left == [Path(folder.path).name]
    assert fake.left == ["done"] and fake.running == []
    assert (fake.temporary / "done").read_text() == "it's done\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_folder_ends_when_its_client_is_killed(fake: FakeDevice, device: Device, how: int) -> None:
    folder = RunFolder(device)
    folder.at_close(f"touch {TEMPORARY}/done")
    client = folder._keeper
    client.send_signal(how)
    client.communicate()
    wait_for(lambda: fake.left == ["done"] and not fake.running, "an empty device")


def test_a_folder_ends_when_its_device_loses_the_connection(fake: FakeDevice, device: Device) -> None:
    with RunFolder(device) as folder:
        folder.at_close(f"touch {TEMPORARY}/done")
        fake.drop()
    wait_for(lambda: fake.left == ["done"] and not fake.running, "an empty device")


def test_a_folder_that_cannot_be_made_is_an_error(fake: FakeDevice, device: Device) -> None:
    fake.temporary.rmdir()
    fake.temporary.write_text("no folder")
    with pytest.raises(DeviceError, match=rf"{fake.serial} does not let .*bertmobile-\w+ be made: .*mkdir"):
        RunFolder(device)


def test_a_folder_whose_keeper_died_is_swept_and_those_of_other_runs_are_not(
    fake: FakeDevice, device: Device
) -> None:
    dead, living = RunFolder(device), RunFolder(device)
    for folder in (dead, living):
        device.shell(f'cp "$(command -v sleep)" {folder.path}/program')
    left = subprocess.Popen([fake.local(f"{dead.path}/program"), "1000"])
    others = subprocess.Popen([fake.local(f"{living.path}/program"), "1000"])
    try:
        keeper = int(Path(fake.local(f"{dead.path}/keeper")).read_text())
        # Without a chance to tidy up: as when a device loses power.
        for pid in (keeper, *children(keeper)):
            os.kill(pid, signal.SIGKILL)
        dead.close()
        assert sorted(fake.left) == sorted(Path(folder.path).name for folder in (dead, living))
        being_made = fake.temporary / "bertmobile-0"
        being_made.mkdir()
        with RunFolder(device) as third:
            names = {Path(folder.path).name for folder in (living, third)} | {being_made.name}
            assert set(fake.left) == names
            assert left.wait(10) == -signal.SIGKILL and others.poll() is None
        living.close()
        assert fake.left == [being_made.name]
    finally:
        for process in (left, others):
            process.kill()
            process.wait()


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
