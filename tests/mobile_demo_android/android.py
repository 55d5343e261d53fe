"""Build the app without Gradle and without the Android SDK: resources, Kotlin, dex, a signed APK."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from tests.mobile_demo_android import libraries
from tests.mobile_demo_android.downloads import Refused, missing, run
from tests.mobile_demo_android.kotlin import JAVA, PROGRAMS, Toolchain, Workshop
from tests.mobile_demo_android.libraries import Library
from tests.mobile_demo_android.manifest import merged
from tests.mobile_demo_android.modules import APP, APP_BENCHMARK, LITERT_MANIFEST, LITERT_STUBS, PROJECT
from tests.mobile_demo_android.project import AppFacts, read_facts
from tests.mobile_demo_android.sdk.attributes import without_attribute
from tests.mobile_demo_android.sdk.tools import Sdk, unsupported

BUILD_TYPES = {"release": APP, "benchmark": APP_BENCHMARK}

_SOURCES = PROJECT / "app/src"
_DATE = (1980, 1, 1, 0, 0, 0)
_PASSWORD = "throw-away"


def obstacle() -> str | None:
    """What keeps this machine from building the app, or None."""
    if without := missing(*PROGRAMS, "javac", "javap", "keytool"):
        return f"needs {', '.join(without)}"
    return unsupported()


@dataclass(frozen=True)
class Linked:
    """An APK with manifest and resources only, the class ``R`` compiled, and the numbers of the resources."""

    apk: Path
    classes: Path
    ids: Path


class AndroidBuild:
    """Builds into a folder; what it needs is fetched when it is needed, and each part is made once."""

    def __init__(self, toolchain: Toolchain, folder: Path, assets: Path | None = None) -> None:
        """
        Args:
            assets: are packaged beside those of the project.
        """
        self._toolchain = toolchain
        self._folder = folder
        self._assets = [assets] if assets else []
        self.resources = cache(self._resources)
        self.apk = cache(self._apk)

    @cached_property
    def workshop(self) -> Workshop:
        """Compiles the modules against Android's API."""
        return Workshop(
            self._toolchain,
            self._folder / "classes",
            {
                "android": self.sdk.jar,
                "onnxruntime": self.onnxruntime.classes,
                "resources": self.resources("release").classes,
                "resources-benchmark": self.resources("benchmark").classes,
            },
        )

    @cached_property
    def sdk(self) -> Sdk:
        """Android's API and tools."""
        return Sdk.fetch()

    @cached_property
    def onnxruntime(self) -> Library:
        """The library that ``:engine-ort`` is compiled with."""
        return libraries.onnxruntime()

    @property
    def library_manifests(self) -> list[Path]:
        """What libraries bring into the app's manifest."""
        return [self.onnxruntime.manifest, LITERT_MANIFEST]

    @cached_property
    def facts(self) -> AppFacts:
        """What the Gradle files say."""
        return read_facts()

    def packaged(self, build_type: str) -> list[Path]:
        """Folders and jars with all classes of an APK."""
        # Numbers of resources are compiled into whoever uses them.
        other = {self.resources(each).classes for each in BUILD_TYPES}
        compile_only = {self.sdk.jar, self.workshop.classes(LITERT_STUBS), *other}
        path = self.workshop.path(BUILD_TYPES[build_type])
        return [each for each in path if each not in compile_only] + [self._toolchain.standard_library]

    def own_classes(self, build_type: str) -> list[Path]:
        """Folders with the classes of this project in an APK."""
        return [each for each in self.packaged(build_type) if each.is_dir()]

    def _resources(self, build_type: str) -> Linked:
        folder = self._made(f"resources-{build_type}")
        linked = Linked(folder / "resources.apk", folder / "classes", folder / "ids.txt")
        source_sets = [path for name in ("main", build_type) if (path := _SOURCES / name).is_dir()]
        manifest = folder / "AndroidManifest.xml"
        manifests = [
            path for each in reversed(source_sets) if (path := each / "AndroidManifest.xml").is_file()
        ]
        manifest.write_bytes(merged(self.facts, build_type, [*manifests, *self.library_manifests]))
        arguments: list[str | Path] = ["--manifest", manifest, "--java", folder / "java"]
        for each in source_sets:
            if (each / "res").is_dir():
                compiled = folder / f"{each.name}.zip"
                self._run(self.sdk.tools.aapt2, "compile", "--dir", each / "res", "-o", compiled)
                # What comes later wins.
                arguments += ["-R", compiled]
        for assets in [*(each / "assets" for each in source_sets), *self._assets]:
            if assets.is_dir():
                arguments += ["-A", assets]
        for each_suffix in self.facts.no_compress:
            arguments += ["-0", each_suffix]
        if build_type != "release":
            # The app's classes are compiled once, with these numbers in them.
            arguments += ["--stable-ids", self.resources("release").ids]
        self._run(
            self.sdk.tools.aapt2, "link", "-o", linked.apk, "-I", self.sdk.tools.framework,
            "--auto-add-overlay",
            "--min-sdk-version", str(self.facts.minimum), "--target-sdk-version", str(self.facts.target),
            "--version-code", str(self.facts.version_code), "--version-name", self.facts.version_name,
            "--emit-ids", linked.ids, *arguments,
        )  # fmt: skip
        self._run("javac", "-d", linked.classes, *(folder / "java").rglob("*.java"))
        return linked

    def _apk(self, build_type: str) -> Path:
        folder = self._made(f"apk-{build_type}")
        unsigned, signed, key = folder / "unsigned.apk", folder / f"{build_type}.apk", folder / "key"
        dex = self._dex(build_type, folder)
        with ZipFile(self.resources(build_type).apk) as linked, ZipFile(unsigned, "w") as packed:
            for entry in linked.infolist():
                packed.writestr(entry, linked.read(entry))
            for path in dex:
                _add(packed, path.name, path, ZIP_DEFLATED)
            for abi in self.facts.abis:
                for path in sorted((self.onnxruntime.native / abi).glob("*.so")):
                    _add(packed, f"lib/{abi}/{path.name}", path, ZIP_STORED)
        self._run(
            "keytool", "-genkeypair", "-keystore", key, "-storepass", _PASSWORD, "-alias", "key",
            "-keyalg", "EC", "-dname", "CN=throw-away", "-validity", "1",
        )  # fmt: skip
        # It also moves what is stored to where it can be mapped: libraries to pages of 16 KB.
        self._run(
            *JAVA, "-jar", self.sdk.tools.apksigner, "sign", "--ks", key, "--ks-pass", f"pass:{_PASSWORD}",
            "--min-sdk-version", str(self.facts.minimum), "--out", signed, unsigned,
        )  # fmt: skip
        unsigned.unlink()
        return signed

    def _dex(self, build_type: str, folder: Path) -> list[Path]:
        inputs = []
        for number, path in enumerate(self.packaged(build_type)):
            inputs.append(path if path.is_file() else _zipped(path, folder / f"{number}.zip"))
        java = Path(os.path.realpath(run("which", "java").stdout.strip())).parents[1]
        compile_only = _zipped(self.workshop.classes(LITERT_STUBS), folder / "compile-only.zip")
        self._run(
            *JAVA, "-Xmx1g", "-cp", self.sdk.tools.r8, "com.android.tools.r8.D8", "--release",
            "--min-api", str(self.facts.minimum), "--lib", java, "--lib", self.sdk.jar,
            "--classpath", compile_only, "--output", folder, *inputs,
        )  # fmt: skip
        return sorted(folder.glob("*.dex"))

    def _made(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True)
        return folder

    def _run(self, program: str | Path, *arguments: str | Path) -> None:
        done = run(program, *arguments, check=False)
        if done.returncode:
            raise Refused(f"{Path(program).name} {arguments[0]} failed:\n{done.stdout}{done.stderr}")


def _add(packed: ZipFile, name: str, path: Path, compression: int) -> None:
    entry = ZipInfo(name, _DATE)
    entry.compress_type = compression
    packed.writestr(entry, path.read_bytes())


def _zipped(folder: Path, archive: Path) -> Path:
    with ZipFile(archive, "w") as packed:
        for path in sorted(_files(folder)):
            written = path.read_bytes()
            if path.suffix == ".class":
                # This D8 is older than sealed classes, which mean something to compilers only.
                written = without_attribute(written, "PermittedSubclasses")
            packed.writestr(str(path.relative_to(folder)), written)
    return archive


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
