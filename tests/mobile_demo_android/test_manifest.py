"""The app's manifests are merged as a build merges them, and ask for nothing."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.mobile_demo_android.manifest import NAME, merged, requested_permissions
from tests.mobile_demo_android.modules import LITERT_MANIFEST, PROJECT
from tests.mobile_demo_android.project import AppFacts, read_facts

MAIN = """<manifest xmlns:android="http://schemas.android.com/apk/res/android"
    xmlns:tools="http://schemas.android.com/tools">
    <uses-permission android:name="android.permission.INTERNET" tools:node="remove" />
    <application android:label="main" tools:targetApi="31"><activity android:name=".Main" /></application>
</manifest>"""
LIBRARY = """<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="a.library">
    <uses-sdk android:minSdkVersion="24" />
    <uses-permission android:name="android.permission.INTERNET" />
    <uses-permission-sdk-23 android:name="android.permission.CAMERA" />
    <application android:label="library" android:allowBackup="true">
        <service android:name="a.Service" />
    </application>
</manifest>"""


@pytest.fixture(scope="module")
def facts() -> AppFacts:
    return read_facts()


@pytest.fixture
def manifests(tmp_path: Path) -> list[Path]:
    for name, text in {"main": MAIN, "library": LIBRARY}.items():
        (tmp_path / f"{name}.xml").write_text(text)
    return [tmp_path / "main.xml", tmp_path / "library.xml"]


def test_a_permission_that_the_app_takes_away_is_not_merged(facts: AppFacts, manifests: list[Path]) -> None:
    root = ElementTree.fromstring(merged(facts, "release", manifests))
    names = [element.get(NAME) for element in root.iter()]
    assert "android.permission.INTERNET" not in names
    assert {".Main", "a.Service", "android.permission.CAMERA"} < set(names)
    assert root.get("package") == facts.application_id
    assert [child.tag for child in root] == ["uses-permission-sdk-23", "application"]
    application = root.find("application")
    assert application is not None
    assert set(application.attrib.values()) == {"main", "true"}


def test_a_build_type_that_may_be_profiled_says_so(facts: AppFacts, manifests: list[Path]) -> None:
    for build_type, expected in {"release": 0, "benchmark": 1}.items():
        root = ElementTree.fromstring(merged(facts, build_type, manifests))
        assert len(list(root.iter("profileable"))) == expected


def test_a_way_to_merge_that_is_not_known_is_refused(facts: AppFacts, tmp_path: Path) -> None:
    path = tmp_path / "main.xml"
    path.write_text(MAIN.replace('tools:node="remove"', 'tools:node="replace"'))
    with pytest.raises(ValueError, match="'replace' is not known"):
        merged(facts, "release", [path])


def test_permissions_that_are_asked_for_are_found(manifests: list[Path]) -> None:
    assert requested_permissions(manifests[0]) == []
    assert requested_permissions(manifests[1]) == ["android.permission.INTERNET", "android.permission.CAMERA"]


def test_no_manifest_of_the_project_asks_for_a_permission() -> None:
    found = {path: requested_permissions(path) for path in PROJECT.rglob("AndroidManifest.xml")}
    assert len(found) >= 2
    assert not any(found.values()), found


def test_the_app_takes_the_permissions_away_that_litert_asks_for(facts: AppFacts, tmp_path: Path) -> None:
    assert requested_permissions(LITERT_MANIFEST) != []
    app = PROJECT / "app/src/main/AndroidManifest.xml"
    packaged = tmp_path / "packaged.xml"
    packaged.write_bytes(merged(facts, "release", [app, LITERT_MANIFEST]))
    assert requested_permissions(packaged) == []


def test_the_app_is_for_android_8_and_newer_and_64_bits(facts: AppFacts) -> None:
    assert (facts.minimum, facts.target) == (26, 36)
    assert facts.abis == ("arm64-v8a", "x86_64")
    assert facts.profileable == {"benchmark"}
