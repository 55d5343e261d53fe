"""``bertmobile-bench emulate`` where there is no emulator, or one that fails."""

from pathlib import Path

import pytest

from bertmobile.errors import BertMobileError
from bertmobile_bench.cli import main
from bertmobile_bench.emulator import image, machine
from bertmobile_bench.emulator.state import State, states

FAILING = """#!/bin/sh
echo "qemu: cannot set up guest memory" >&2
exit 1
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder where programs are looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def add(folder: Path, program: str) -> None:
    (folder / program).write_text(FAILING)
    (folder / program).chmod(0o755)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ([], "qemu-system-aarch64 is not installed; add it with: apt-get install qemu-system-arm"),
        (["qemu-system-aarch64"], "adb is not installed; add it with: apt-get install adb"),
        (["qemu-system-aarch64", "adb"], "apt-get is not installed; the emulated device is made of Debian's"),
    ],
)
def test_a_missing_program_is_named_with_its_remedy(
    there: list[str], message: str, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for program in there:
        add(programs, program)
    assert main(["emulate"]) == 4
    out, err = capsys.readouterr()
    assert out == "" and message in err


def test_what_qemu_says_reaches_the_user_and_nothing_is_left(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(programs, "qemu-system-aarch64")
    add(programs, "adb")
    monkeypatch.setattr(image, "cached", lambda cache: image.Image(Path("kernel"), Path("files")))
    with (
        pytest.raises(BertMobileError, match="cannot set up guest memory"),
        machine.Emulator(cache=tmp_path) as device,
    ):
        pytest.fail(f"{device} runs")
    assert states(tmp_path) == []


def test_the_device_is_alone_but_for_a_port_on_loopback(tmp_path: Path) -> None:
    found = image.Image(Path("kernel"), Path("files"))
    command = machine.qemu_command(found, State(tmp_path), 3000, 4)
    network = command[command.index("-netdev") + 1].split(",")
    assert {"restrict=on", "hostfwd=tcp:127.0.0.1:0-:5555"} <= set(network)
    assert command.count("-netdev") == 1 and "-nodefaults" in command
    assert command[command.index("-m") + 1] == "3000" and command[command.index("-smp") + 1] == "4"


def test_an_unknown_serial_cannot_be_stopped(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulate", "--stop", "nothing:1"]) == 2
    assert "no emulated device nothing:1 runs" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--stop", "--list"])
def test_without_devices_there_is_nothing_to_stop_or_list(
    option: str, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emulate", option, "--json"]) == 0
    assert capsys.readouterr().out == '{"emulated": true, "devices": []}\n'


def test_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert machine.default_cache() == tmp_path / "bertmobile/emulator"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert machine.default_cache() == Path.home() / ".cache/bertmobile/emulator"
