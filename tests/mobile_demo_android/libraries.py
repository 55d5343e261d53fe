"""Android libraries that registries carry, unpacked as a build finds them in an AAR."""

from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from tests.mobile_demo_android import downloads
from tests.mobile_demo_android.downloads import cached

# A plug-in for a game engine, with Microsoft's own AAR of onnxruntime-android 1.26.0 in it. Its next version
# has 1.29, which reports to a collector.
_PLUGIN = "com.github.asus4.onnxruntime"
_PLUGIN_VERSION = "0.4.8"
_PLUGIN_SHA512 = "pHJhRgOGAa2ZA9FzM0/UYY5cGmp1ZX3R+4zQpl0zjsCcr5RYSUyQGihLgRhaOxc4WAXUYD/B1UKHll8PKJjMIw=="
_PLUGIN_AAR = "package/Plugins/Android/onnxruntime.aar"
_WANTED = ("AndroidManifest.xml", "classes.jar", "jni/arm64-v8a/", "jni/x86_64/")
ONNXRUNTIME_VERSION = "1.26.0"


@dataclass(frozen=True)
class Library:
    """``classes`` is a jar, and ``native`` has a folder with libraries for each ABI."""

    classes: Path
    native: Path
    manifest: Path


def onnxruntime() -> Library:
    """ONNX Runtime for Android, from the user's cache or from npm (128 MB, of which 61 are kept).

    Raises:
        Unreachable: npm's registry cannot be reached.
        Refused: the package is not the one that was pinned.
    """
    folder = cached(f"onnxruntime-android-{ONNXRUNTIME_VERSION}", _unpack)
    return Library(folder / "classes.jar", folder / "jni", folder / "AndroidManifest.xml")


def _unpack(folder: Path) -> Path:
    package = downloads.npm(_PLUGIN, _PLUGIN_VERSION, _PLUGIN_SHA512, folder, only=_PLUGIN_AAR)
    with ZipFile(package / _PLUGIN_AAR) as aar:
        wanted = [name for name in aar.namelist() if name.startswith(_WANTED)]
        aar.extractall(folder / "aar", wanted)
    return folder / "aar"
