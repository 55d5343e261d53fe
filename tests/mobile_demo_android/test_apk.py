"""The app compiles against Android's API, and its APKs are what a phone and the store expect."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest

from tests.conftest import Announce
from tests.mobile_demo_android.android import BUILD_TYPES, AndroidBuild, obstacle
from tests.mobile_demo_android.checks import Outcome, check_apk, check_sources
from tests.mobile_demo_android.conftest import fetched
from tests.mobile_demo_android.kotlin import Toolchain

pytestmark = pytest.mark.slow


def _reported(outcomes: Iterator[Outcome], about: str, announce: Announce) -> list[Outcome]:
    found = list(outcomes)
    announce("\n  ".join([about, *(f"{each.check}: {each.said}" for each in found)]))
    return found


def test_the_sources_use_only_what_every_supported_android_has(
    android: AndroidBuild, announce: Announce
) -> None:
    found = _reported(check_sources(android), "sources of the app", announce)
    assert [each for each in found if each.said != "passed"] == []


@pytest.mark.parametrize("build_type", BUILD_TYPES)
def test_the_apk_is_whole_signed_aligned_and_asks_for_nothing(
    android: AndroidBuild, build_type: str, announce: Announce
) -> None:
    apk = android.apk(build_type)
    found = _reported(
        check_apk(android, build_type), f"{apk.name}, {apk.stat().st_size / 1e6:.1f} MB", announce
    )
    assert len(found) > 5
    assert [each for each in found if each.said != "passed"] == []


def test_models_are_stored_in_the_apk_as_they_are(toolchain: Toolchain, tmp_path: Path) -> None:
    if (reason := obstacle()) and not os.environ.get("CI"):
        pytest.skip(reason)
    folder = tmp_path / "assets/bundles/one"
    folder.mkdir(parents=True)
    for name in ("model.tflite", "model.onnx", "model.ort", "vocab.txt"):
        (folder / name).write_bytes(bytes(10_000))
    build = AndroidBuild(toolchain, tmp_path / "build", tmp_path / "assets")
    with ZipFile(fetched(lambda: build.resources("release")).apk) as packed:
        found = {Path(entry.filename).name: entry.compress_type for entry in packed.infolist()}
    models = [path.name for path in folder.glob("model.*")]
    assert found["vocab.txt"] == ZIP_DEFLATED
    assert [found[name] for name in models] == [ZIP_STORED] * 3


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
