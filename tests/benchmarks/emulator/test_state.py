"""What a crash leaves behind is found and removed, and nothing else is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bertmobile_bench.emulator.state import EmulatedDevice, State, states, sweep

IDLE = "import time; time.sleep(600)"


class Idle:
    """Processes that do nothing, ended with the test."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, *arguments: str) -> int:
        self.processes.append(subprocess.Popen([sys.executable, "-c", IDLE, *arguments]))
        return self.processes[-1].pid

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def idle() -> Iterator[Idle]:
    processes = Idle()
    yield processes
    processes.end()


def started(cache: Path, idle: Idle, *, background: bool, held: bool = False) -> State:
    """A state whose qemu is an idle process."""
    state = State.create(cache)
    pid = idle(str(state.pid_file))
    state.pid_file.write_text(str(pid))
    state.write(EmulatedDevice(f"serial-{pid}", pid, 2048, 2, 4.0, background))
    if not held:
        state.release()
    return state


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_device_in_the_background_is_kept(tmp_path: Path, idle: Idle) -> None:
    state = started(tmp_path, idle, background=True)
    assert sweep(tmp_path) == []
    device = state.device()
    assert device is not None and alive(device.pid)


def test_a_device_is_ended_when_its_owner_is_gone(tmp_path: Path, idle: Idle) -> None:
    device = started(tmp_path, idle, background=False).device()
    assert device is not None
    assert sweep(tmp_path) == [device.serial]
    assert not alive(device.pid) and states(tmp_path) == []


def test_a_device_is_kept_while_its_owner_lives(tmp_path: Path, idle: Idle) -> None:
    state = started(tmp_path, idle, background=False, held=True)
    assert sweep(tmp_path) == [] and state.device() is not None


def test_a_folder_of_a_device_that_starts_is_kept(tmp_path: Path) -> None:
    state = State.create(tmp_path)
    sweep(tmp_path)
    assert len(states(tmp_path)) == 1
    state.release()
    sweep(tmp_path)
    assert states(tmp_path) == []


def test_a_process_that_has_the_number_of_a_dead_qemu_is_left_alone(tmp_path: Path, idle: Idle) -> None:
    state = State.create(tmp_path)
    pid = idle("something else")
    state.pid_file.write_text(str(pid))
    state.write(EmulatedDevice("gone", pid, 2048, 2, 4.0, True))
    state.release()
    assert state.process() is None and state.device() is None
    assert sweep(tmp_path) == ["gone"]
    assert alive(pid) and states(tmp_path) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"serial": "x"}'])
def test_a_damaged_description_is_no_device(content: str, tmp_path: Path, idle: Idle) -> None:
    state = started(tmp_path, idle, background=True)
    (state.pid_file.parent / "device.json").write_text(content)
    assert state.device() is None


def test_a_device_that_does_not_end_when_asked_is_killed(
    tmp_path: Path, idle: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertmobile_bench.emulator.state._STOP_SECONDS", 0.1)
    monkeypatch.setattr(psutil.Process, "terminate", lambda process: None)
    state = started(tmp_path, idle, background=True)
    device = state.device()
    assert device is not None
    state.remove()
    assert not alive(device.pid)
