"""What is checked about an APK of the app, and about the files that it is made of."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from tests.mobile_demo_android.alignment import misaligned, native_libraries
from tests.mobile_demo_android.android import AndroidBuild
from tests.mobile_demo_android.api_use import guessed, too_new
from tests.mobile_demo_android.downloads import run
from tests.mobile_demo_android.kotlin import JAVA
from tests.mobile_demo_android.manifest import NAME, requested_permissions
from tests.mobile_demo_android.modules import PROJECT

_ACTIVITY = "org.bertmobile.demo.DemoActivity"
_BENCHMARK = "org.bertmobile.demo.BenchmarkActivity"
# The shell has it, the system, and an app that was given it by adb.
_SHELLS_PERMISSION = "android.permission.DUMP"
_ANDROID = NAME.removesuffix("name")
_ELEMENT = re.compile(r"( *)E: (\S+) \(line=\d+\)")
_ATTRIBUTE = re.compile(r'( *)A: (?:(http\S+):)?(\w+)(?:\(0x\w+\))?=(?:"(.*?)"(?: \(Raw: .*\))?|(\S+))$')


class Skipped(Exception):
    """There is nothing to check."""


@dataclass(frozen=True)
class Outcome:
    """``passed``, ``failed: …`` or ``skipped: …``."""

    check: str
    said: str

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.said.startswith("failed")


def check_sources(build: AndroidBuild) -> Iterator[Outcome]:
    """Checks of the files that APKs are made of."""
    yield _outcome(
        "no manifest of ours or of ONNX Runtime asks for a permission", lambda: _permissions(build)
    )
    yield _outcome(
        "what is used of Android is described exactly",
        lambda: "; ".join(guessed(build.sdk, build.own_classes("benchmark"))),
    )
    yield _outcome(
        f"nothing newer than API {build.facts.minimum} is used unasked",
        lambda: "; ".join(too_new(build.sdk, build.own_classes("benchmark"), build.facts.minimum)),
    )


def check_apk(build: AndroidBuild, build_type: str) -> Iterator[Outcome]:
    """Checks of one APK."""
    apk = build.apk(build_type)
    aapt2 = build.sdk.tools.aapt2
    badging = run(aapt2, "dump", "badging", apk).stdout
    manifest = _manifest(run(aapt2, "dump", "xmltree", "--file", "AndroidManifest.xml", apk).stdout)
    yield _outcome("its signature is valid", lambda: _signature(build, apk))
    yield _outcome("name, versions and activity", lambda: _badging(build, badging))
    yield _outcome("it asks for no permission", lambda: "; ".join(re.findall("uses-permission.*", badging)))
    yield _outcome(
        "it cannot be debugged", lambda: "it can" * (_application(manifest, "debuggable") == "true")
    )
    yield _outcome("native libraries lie on pages of 16 KB", lambda: check_alignment(apk))
    if build_type == "benchmark":
        yield _outcome("only the shell starts a benchmark", lambda: _guard(manifest))
        yield _outcome("the shell may profile it", lambda: _profileable(manifest))
        yield _outcome("the benchmark is in it", lambda: "" if _has_class(apk, _BENCHMARK) else "it is not")
    else:
        yield _outcome("no benchmark is in it", lambda: _no_benchmark(apk, manifest))


def _outcome(check: str, problem: Callable[[], str]) -> Outcome:
    try:
        said = problem()
    except Skipped as reason:
        return Outcome(check, f"skipped: {reason}")
    return Outcome(check, f"failed: {said}" if said else "passed")


def _permissions(build: AndroidBuild) -> str:
    manifests = sorted(PROJECT.rglob("AndroidManifest.xml"))
    assert manifests
    asked = {path: requested_permissions(path) for path in [*manifests, build.onnxruntime.manifest]}
    return "; ".join(f"{path}: {', '.join(names)}" for path, names in asked.items() if names)


def _signature(build: AndroidBuild, apk: Path) -> str:
    done = run(*JAVA, "-jar", build.sdk.tools.apksigner, "verify", "--verbose", apk, check=False)
    return (
        ""
        if done.returncode == 0 and "v2 scheme (APK Signature Scheme v2): true" in done.stdout
        else done.stderr
    )


def _badging(build: AndroidBuild, badging: str) -> str:
    facts = build.facts
    package = (
        f"name='{facts.application_id}' versionCode='{facts.version_code}' versionName='{facts.version_name}'"
    )
    expected = [
        f"package: {package}",
        f"minSdkVersion:'{facts.minimum}'",
        f"targetSdkVersion:'{facts.target}'",
        f"launchable-activity: name='{_ACTIVITY}'",
        "native-code: " + " ".join(f"'{abi}'" for abi in sorted(facts.abis)),
    ]
    return "; ".join(f"no {line}" for line in expected if line not in badging)


def check_alignment(apk: Path) -> str:
    """What is wrong with the native libraries in an APK.

    Raises:
        Skipped: there is none.
    """
    if not native_libraries(apk):
        raise Skipped("no native library is in it")
    return "; ".join(misaligned(apk))


def _application(manifest: Element, attribute: str) -> str | None:
    application = manifest.find("application")
    assert application is not None
    return application.get(_ANDROID + attribute)


def _activity(manifest: Element, name: str) -> Element | None:
    names = {name, name.removeprefix("org.bertmobile.demo")}
    return next((each for each in manifest.iter("activity") if each.get(NAME) in names), None)


def _guard(manifest: Element) -> str:
    if (activity := _activity(manifest, _BENCHMARK)) is None:
        return "there is no BenchmarkActivity"
    permission = activity.get(f"{_ANDROID}permission")
    return (
        ""
        if permission == _SHELLS_PERMISSION
        else f"its permission is {permission}, not {_SHELLS_PERMISSION}"
    )


def _profileable(manifest: Element) -> str:
    found = [each.get(f"{_ANDROID}shell") for each in manifest.iter("profileable")]
    return "" if found == ["true"] else "no <profileable android:shell> says so"


def _no_benchmark(apk: Path, manifest: Element) -> str:
    problems = []
    if _activity(manifest, _BENCHMARK) is not None:
        problems.append("its manifest has a BenchmarkActivity")
    if list(manifest.iter("profileable")):
        problems.append("it may be profiled")
    if _has_class(apk, _BENCHMARK):
        problems.append("its classes have a BenchmarkActivity")
    return "; ".join(problems)


def _has_class(apk: Path, name: str) -> bool:
    descriptor = f"L{name.replace('.', '/')};".encode()
    with ZipFile(apk) as packed:
        return any(descriptor in packed.read(each) for each in packed.namelist() if each.endswith(".dex"))


def _manifest(dumped: str) -> Element:
    """The manifest of an APK, of aapt2's words for it."""
    open_elements: list[tuple[int, Element]] = []
    root = None
    for line in dumped.splitlines():
        if match := _ELEMENT.fullmatch(line):
            depth, element = len(match[1]), Element(match[2])
            while open_elements and open_elements[-1][0] >= depth:
                open_elements.pop()
            if open_elements:
                open_elements[-1][1].append(element)
            else:
                root = element
            open_elements.append((depth, element))
        elif match := _ATTRIBUTE.fullmatch(line):
            name = f"{{{match[2]}}}{match[3]}" if match[2] else match[3]
            open_elements[-1][1].set(name, match[4] if match[4] is not None else match[5])
    assert root is not None
    return root
