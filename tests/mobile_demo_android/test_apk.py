"""The app compiles against Android's API, and its APKs are what a phone and the store expect."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.mobile_demo_android.android import BUILD_TYPES, AndroidBuild
from tests.mobile_demo_android.checks import Outcome, check_apk, check_sources

pytestmark = pytest.mark.slow


def _reported(outcomes: Iterator[Outcome], about: str, capsys: pytest.CaptureFixture[str]) -> list[Outcome]:
    found = list(outcomes)
    with capsys.disabled():
        print(f"\n{about}")
        for each in found:
            print(f"  {each.check}: {each.said}")
    return found


def test_the_sources_use_only_what_every_supported_android_has(
    android: AndroidBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _reported(check_sources(android), "sources of the app", capsys)
    assert [each for each in found if each.said != "passed"] == []


@pytest.mark.parametrize("build_type", BUILD_TYPES)
def test_the_apk_is_whole_signed_aligned_and_asks_for_nothing(
    android: AndroidBuild, build_type: str, capsys: pytest.CaptureFixture[str]
) -> None:
    apk = android.apk(build_type)
    found = _reported(
        check_apk(android, build_type), f"{apk.name}, {apk.stat().st_size / 1e6:.1f} MB", capsys
    )
    assert len(found) > 5
    assert [each for each in found if each.said != "passed"] == []


def test_the_checks_tell_the_build_types_apart(
    android: AndroidBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, benchmark = (android.apk(each) for each in BUILD_TYPES)
    monkeypatch.setattr(android, "apk", {"release": benchmark, "benchmark": release}.get)
    wrong = {each.check for name in BUILD_TYPES for each in check_apk(android, name) if each.failed}
    assert wrong == {
        "no benchmark is in it",
        "only the shell starts a benchmark",
        "the shell may profile it",
        "the benchmark is in it",
    }


def test_a_changed_apk_fails(android: AndroidBuild, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "changed.apk"
    shutil.copy2(android.apk("release"), changed)
    with ZipFile(changed, "a") as packed:
        packed.writestr("assets/added", b"by somebody else")
    monkeypatch.setattr(android, "apk", {"release": changed}.get)
    assert {each.check for each in check_apk(android, "release") if each.failed} == {"its signature is valid"}
