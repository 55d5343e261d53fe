"""What runs models on a JVM, for tests; nothing of it is in an app.

LiteRT's and ONNX Runtime's C libraries are those of Python's wheels. JNA calls the one. The other has a
Java API, which is in no package by itself: it is taken out of a jar in a wheel of pyserini, with the small
library between the two.
"""

import struct
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

from tests.mobile_demo_android import downloads
from tests.mobile_demo_android.downloads import Refused, cached
from tests.mobile_demo_android.kotlin import Toolchain, Totals, Workshop
from tests.mobile_demo_android.modules import ENGINES_ON_JVM

_JNA = ("libjna-java", "libjna-jni")
_PYSERINI = "0.40.0"
_PYSERINI_SHA256 = "fbda53e84dbded1b120055a900976c37d6a53cc841d518f40e2a8b00e454377f"
_JAR = "pyserini/resources/jars/anserini-0.38.0-fatjar.jar"
# The Java API in that jar, and its library, which asks for the C library of its own version by these names.
_API = "1.17.0"
_API_SONAME = b"libonnxruntime.so.1.17.0\0"
_SONAME = b"libonnxruntime.so.1\0"
_JNI = "ai/onnxruntime/native/linux-x64/libonnxruntime4j_jni.so"


@dataclass(frozen=True)
class Libraries:
    """Folders with the Java sides of the two: classes of JNA and of ONNX Runtime's API."""

    jna: Path
    onnxruntime: Path

    @classmethod
    def fetch(cls) -> "Libraries":
        """From the user's cache, or from Debian and PyPI.

        Raises:
            Unreachable: Debian's mirror or PyPI cannot be reached.
            Refused: the wheel is not the one that was pinned.
        """
        return cls(
            cached("jna", _fetch_jna),
            cached(f"onnxruntime-java-{_API}", _fetch_onnxruntime),
        )

    def by_name(self) -> dict[str, Path]:
        """For the class path, by the names that modules have for them."""
        return {"jna": self.jna, "onnxruntime": self.onnxruntime}


@dataclass(frozen=True)
class Engines:
    """Both engines and their tests, ready to be run."""

    workshop: Workshop
    options: tuple[str, ...]

    @classmethod
    def build(cls, toolchain: Toolchain, libraries: Libraries, folder: Path) -> "Engines":
        """Compile into a new folder.

        Raises:
            Refused: in the compiler's own words; or the installed ONNX Runtime does not suit the API.
        """
        workshop = Workshop(toolchain, folder, libraries.by_name())
        for module in ENGINES_ON_JVM.uses:
            workshop.path(module)
        jni = folder / "libonnxruntime4j_jni.so"
        jni.write_bytes(adapted((libraries.onnxruntime / _JNI).read_bytes(), version("onnxruntime")))
        onnxruntime = _package("onnxruntime") / f"capi/libonnxruntime.so.{version('onnxruntime')}"
        return cls(
            workshop,
            (
                f"-Donnxruntime.native.onnxruntime.path={onnxruntime}",
                f"-Donnxruntime.native.onnxruntime4j_jni.path={jni}",
                f"-Dbertmobile.litert={_package('ai_edge_litert') / 'libLiteRt.so'}",
            ),
        )

    def command(self, *arguments: str | Path, options: tuple[str, ...] = ()) -> list[str | Path]:
        """Runs a class of the tests."""
        return self.workshop.command(ENGINES_ON_JVM, *arguments, options=(*self.options, *options))

    def test(self, bundles: Path) -> Totals:
        """Run all tests on the bundles of a folder; beside each is a file of cases."""
        return self.workshop.test(ENGINES_ON_JVM, options=(*self.options, f"-Dbertmobile.bundles={bundles}"))


def _fetch_jna(folder: Path) -> Path:
    unpacked = downloads.debian(_JNA, folder) / "usr"
    jna = folder / "jna"
    with ZipFile(unpacked / "share/java/jna.jar") as jar:
        jar.extractall(jna)
    # Debian's JNA looks for its library where Debian installs it, and then among the classes.
    (library,) = unpacked.glob("lib/*/jni/libjnidispatch.system.so")
    place = jna / "com/sun/jna/linux-x86-64"
    place.mkdir()
    library.rename(place / "libjnidispatch.so")
    return jna


def _fetch_onnxruntime(folder: Path) -> Path:
    unpacked = downloads.wheel("pyserini", _PYSERINI, _PYSERINI_SHA256, (_JAR,), folder)
    api = folder / "api"
    with ZipFile(unpacked / _JAR) as jar:
        wanted = [
            name for name in jar.namelist() if name.startswith("ai/onnxruntime/") and name.endswith(".class")
        ]
        jar.extractall(api, [*wanted, _JNI])
    return api


def adapted(library: bytes, installed: str) -> bytes:
    """The Java API's library, asking for the installed C library, which has all that it calls.

    The loader compares names and versions, and for versions also a hash that stands beside them.
    """
    ours, theirs = f"VERS_{_API}".encode(), f"VERS_{installed}".encode()
    hashes = [struct.pack("<I", _elf_hash(name)) for name in (ours, theirs)]
    if len(ours) != len(theirs) or library.count(hashes[0]) != 1 or library.count(_API_SONAME) != 1:
        raise Refused(f"the Java API of ONNX Runtime {_API} cannot be put to {installed}")
    library = library.replace(_API_SONAME, _SONAME.ljust(len(_API_SONAME), b"\0"))
    # Also the version that it tells.
    return library.replace(hashes[0], hashes[1]).replace(f"{_API}\0".encode(), f"{installed}\0".encode())


def _elf_hash(name: bytes) -> int:
    value = 0
    for character in name:
        value = (value << 4) + character
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high
    return value


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec and spec.origin
    return Path(spec.origin).parent
