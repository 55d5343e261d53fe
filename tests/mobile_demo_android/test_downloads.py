"""Downloads are the ones that were pinned, or nothing."""

import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.mobile_demo_android import apk, downloads, kotlin, overhead, speed
from tests.mobile_demo_android.downloads import Refused, Unreachable, missing
from tests.mobile_demo_android.kotlin import Toolchain
from tests.mobile_demo_android.sdk.tools import AndroidTools


def test_a_compiler_that_is_not_the_pinned_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pack(*command: str, cwd: Path, check: bool) -> subprocess.CompletedProcess[str]:
        (cwd / "kotlin-compiler.tgz").write_bytes(b"another compiler")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(downloads, "run", pack)
    with pytest.raises(Refused, match="is not the one that was pinned"):
        Toolchain.fetch()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_wheel_that_is_not_the_pinned_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def download(*command: str, check: bool) -> subprocess.CompletedProcess[str]:
        (folder,) = (Path(word.removeprefix("--dest=")) for word in command if word.startswith("--dest="))
        (folder / "another.whl").write_bytes(b"another wheel")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(downloads, "run", download)
    with pytest.raises(Refused, match="is not the one that was pinned"):
        AndroidTools.fetch()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(bool(missing("npm")), reason="needs npm")
def test_npms_registry_is_named_when_it_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(Unreachable, match="cannot reach npm's registry"):
        Toolchain.fetch()


def test_pypi_is_named_when_it_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, value in {
        "INDEX_URL": "http://127.0.0.1:9/simple",
        "EXTRA_INDEX_URL": "",
        "RETRIES": "0",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(Unreachable, match="cannot reach PyPI"):
        AndroidTools.fetch()


@pytest.mark.parametrize("command", [apk, kotlin, overhead, speed], ids=lambda command: command.__name__)
@pytest.mark.parametrize(
    ("reason", "code", "said"),
    [
        (Unreachable("cannot reach npm"), 0, "skipped: cannot reach npm\n"),
        (Refused("not the pinned one"), 1, "failed: not the pinned one\n"),
    ],
)
def test_a_command_says_what_it_cannot_have(
    command: ModuleType,
    reason: Exception,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fetch() -> Toolchain:
        raise reason

    monkeypatch.setattr(Toolchain, "fetch", fetch)
    monkeypatch.setattr(apk, "obstacle", lambda: None)
    monkeypatch.setattr("sys.argv", ["command"])
    assert command.main() == code
    assert capsys.readouterr().out == said
