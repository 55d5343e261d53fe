"""A bundle in an Android project: where its files go, and what Gradle has to be told."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile_export.bundle import install, staging

# By target: the library that runs a target's files, and the Python package whose version it shares.
ENGINES: Mapping[str, tuple[str, str]] = {
    "tflite": ("com.google.ai.edge.litert:litert", "ai-edge-litert"),
    "onnx": ("com.microsoft.onnxruntime:onnxruntime-android", "onnxruntime"),
}
# Of a module; below it, where mobile_demo_android's app looks for bundles.
ASSETS = Path("src", "main", "assets")
BUNDLES = "bundles"
BUILD_FILES = ("build.gradle.kts", "build.gradle")
SETTINGS_FILES = ("settings.gradle.kts", "settings.gradle")
# The plugin of a module that Google Play delivers beside the app, by its id or by a name in a catalog
# (https://developer.android.com/google/play/on-device-ai).
AI_PACK = re.compile(r"\bai[.-]pack\b")
ABIS = ("arm64-v8a", "x86_64")


@dataclass(frozen=True)
class Placed:
    """A bundle's copy in a project, and lines for the app's ``build.gradle.kts``."""

    path: Path
    gradle: tuple[str, ...]


@dataclass(frozen=True)
class Assets:
    """A folder whose files an app reads as its assets.

    Attributes:
        folder: the assets folder; made when a bundle is placed.
        ai_pack: the module's name if it is an AI pack.
    """

    folder: Path
    ai_pack: str | None = None

    @classmethod
    def find(cls, folder: Path) -> "Assets":
        """The assets of a module, which may be an AI pack, or a folder called ``assets`` itself.

        Raises:
            UsageError: the folder is none of these.
        """
        build = next((folder / name for name in BUILD_FILES if (folder / name).is_file()), None)
        # The root of a project may have a build file, too.
        if any((folder / name).is_file() for name in SETTINGS_FILES):
            raise UsageError(
                f"--android {folder} is a whole Gradle project; name one of its modules, "
                f"such as {folder / 'app'}"
            )
        if build:
            pack = AI_PACK.search(build.read_text(encoding="utf-8", errors="replace"))
            return cls(folder / ASSETS, folder.resolve().name if pack else None)
        if folder.is_dir() and folder.name == ASSETS.name:
            return cls(folder)
        raise UsageError(
            f"--android {folder} is neither a Gradle module (it has no {BUILD_FILES[0]}) nor an existing "
            "folder called assets; name an app's module, an AI pack, or an assets folder"
        )

    def place_of(self, name: str, *, overwrite: bool) -> Path:
        """Where a bundle will be.

        Raises:
            UsageError: something is there already and ``overwrite`` is false, or aapt would leave it out.
        """
        if name.startswith(("_", ".")):
            raise UsageError(
                f"Android's packager leaves out assets whose name begins with {name[0]!r}, as {name} does; "
                "rename the model's folder"
            )
        path = self.folder / BUNDLES / name
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists and is left as it is; add --overwrite to replace it")
        return path

    def place(self, bundle: Path, manifest: Manifest, path: Path) -> Placed:
        """Copy a bundle to ``path`` whole or not at all, in the stead of what is there."""
        with staging(path) as folder:
            shutil.copytree(bundle, folder, dirs_exist_ok=True)
            install(folder, path)
        return Placed(path, self._gradle(manifest))

    def _gradle(self, manifest: Manifest) -> tuple[str, ...]:
        """The model is stored as it is, other processors are left out, the library that runs it is there."""
        library, package = ENGINES[manifest.target]
        suffix = manifest.model_file.rpartition(".")[2]
        abis = ", ".join(f'"{abi}"' for abi in ABIS)
        pack = (f'android {{ assetPacks += ":{self.ai_pack}" }}',) if self.ai_pack else ()
        return (
            f'android {{ androidResources {{ noCompress += "{suffix}" }} }}',
            f"android {{ defaultConfig {{ ndk {{ abiFilters += listOf({abis}) }} }} }}",
            f'dependencies {{ implementation("{library}:{manifest.tools[package]}") }}',
            *pack,
        )
