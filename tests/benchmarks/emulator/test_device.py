"""The emulated device itself: made, booted and used through adb."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bertmobile_bench.cli import main
from bertmobile_bench.emulator.machine import Emulator, running, stop
from tests.test_docs import our_commands

# .ci/run installs both.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("qemu-system-aarch64") and shutil.which("adb")), reason="qemu or adb is missing"
    ),
]

TEMPORARY = "/data/local/tmp"
KILLED = """
import os, signal
from bertmobile_bench.emulator.machine import Emulator

with Emulator() as device:
    print(device.pid, flush=True)
    os.kill(os.getpid(), signal.{})
"""


@pytest.fixture(scope="module", autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache, an adb server and adb's key of this file's own; all devices are ended afterwards."""
    home = tmp_path_factory.mktemp("home")
    with socket.create_server(("127.0.0.1", 0)) as free, pytest.MonkeyPatch.context() as environment:
        environment.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
        free.close()
        environment.delenv("ADB_SERVER_SOCKET", raising=False)
        environment.setenv("XDG_CACHE_HOME", str(home / "cache"))
        environment.setenv("HOME", str(home))
        yield
        stop()
        subprocess.run(["adb", "kill-server"], check=True)


@pytest.fixture(scope="module")
def serial() -> Iterator[str]:
    """A device that all tests share."""
    with Emulator() as device:
        yield device.serial


def adb(serial: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["adb", "-s", serial, *arguments], input=stdin, capture_output=True, text=True, check=False
    )


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def known_to_adb() -> str:
    return subprocess.run(["adb", "devices"], capture_output=True, text=True, check=True).stdout


def test_a_file_arrives_as_it_is_and_comes_back(serial: str, tmp_path: Path) -> None:
    data = random.Random(0).randbytes(5_000_000)
    (tmp_path / "file").write_bytes(data)
    assert adb(serial, "push", str(tmp_path / "file"), TEMPORARY).returncode == 0
    digest = adb(serial, "shell", f"sha256sum {TEMPORARY}/file").stdout.split()[0]
    assert digest == hashlib.sha256(data).hexdigest()
    assert adb(serial, "pull", f"{TEMPORARY}/file", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == data


def test_there_is_room_for_models(serial: str) -> None:
    mebibytes = adb(serial, "shell", f"df -m {TEMPORARY} | tail -n 1").stdout.split()[3]
    assert int(mebibytes) > 500


def test_exit_codes_come_back(serial: str) -> None:
    assert [adb(serial, "shell", f"exit {code}").returncode for code in (0, 7)] == [0, 7]


def test_standard_input_reaches_the_program_and_outputs_are_kept_apart(serial: str) -> None:
    done = adb(serial, "shell", "cat; echo wrong >&2", stdin="one\ntwo\n")
    assert (done.stdout, done.stderr) == ("one\ntwo\n", "wrong\n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("uname -m", "aarch64"),
        ("grep -c ^processor /proc/cpuinfo", "2"),
        ("timeout 5 echo in time", "in time"),
        ("ls -d /dev/null /dev/shm /dev/ptmx /proc/self/status | wc -l", "4"),
        ("ls /usr/lib/aarch64-linux-gnu/libstdc++.so.6 | wc -l", "1"),
    ],
)
def test_the_device_has_what_programs_need(command: str, said: str, serial: str) -> None:
    assert adb(serial, "shell", command).stdout.strip() == said


def test_an_orphan_that_ends_is_buried(serial: str) -> None:
    script = """
        orphan=$(sleep 0.1 > /dev/null & echo $!)
        for turn in $(seq 50); do test -d /proc/$orphan || exit 0; sleep 0.2; done
        exit 1
    """
    assert adb(serial, "shell", script).returncode == 0


def test_the_device_does_not_reach_this_machine(serial: str) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(3)
        port = server.getsockname()[1]
        script = f"ip route add default via 10.0.2.2; echo secret | nc -w 2 10.0.2.2 {port}"
        assert adb(serial, "shell", script).returncode != 0
        with pytest.raises(TimeoutError):
            server.accept()


def test_only_this_machine_reaches_the_device(serial: str) -> None:
    (device,) = (each for each in running() if each.serial == serial)
    addresses = {each.laddr.ip for each in psutil.Process(device.pid).net_connections() if not each.raddr}
    assert addresses == {"127.0.0.1"}


def test_the_commands_of_the_docs_boot_list_and_stop_a_device_beside_another(
    serial: str, capfd: pytest.CaptureFixture[str]
) -> None:
    examples = [command.argv[1:] for _, command in our_commands() if command.argv[1] == "emulate"]
    booted: dict[str, Any] = {}
    for arguments in examples:
        assert main([*arguments, "--json"]) == 0
        document = json.loads(capfd.readouterr().out)
        assert document["emulated"] is True and document["devices"]
        if arguments == ("emulate",):
            (booted,) = document["devices"]
            assert adb(booted["serial"], "shell", "true").returncode == 0
            assert booted["boot_seconds"] > 0 and booted["background"]
    assert examples[-1] == ("emulate", "--stop")
    assert ended(booted["pid"]) and booted["serial"] not in known_to_adb()
    assert adb(serial, "shell", "true").returncode == 0
    assert [device.serial for device in running()] == [serial]


def test_an_error_in_the_context_ends_the_device() -> None:
    with pytest.raises(ZeroDivisionError), Emulator(memory_mib=512, cores=1) as device:
        raise ZeroDivisionError
    assert ended(device.pid) and device.serial not in known_to_adb()


def interrupted(by: signal.Signals) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", KILLED.format(by.name)],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
    )  # fmt: skip


def test_ctrl_c_ends_the_device() -> None:
    assert ended(int(interrupted(signal.SIGINT).stdout))


def test_a_device_whose_owner_was_killed_is_ended_by_the_next_start() -> None:
    pid = int(interrupted(signal.SIGKILL).stdout)
    assert not ended(pid)
    with Emulator():
        assert ended(pid) and "offline" not in known_to_adb()
