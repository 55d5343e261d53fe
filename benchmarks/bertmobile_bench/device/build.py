"""Builds the native runner, and puts the runtime libraries beside it."""

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bertmobile.errors import BertMobileError, MissingToolError, UsageError

PROGRAM = "bertmobile-runner"
SOURCES = ("main.c", "cases.c", "litert.c", "onnxruntime.c")
VERSIONS = "versions.json"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
# The oldest Android that our apps support.
API_LEVEL = 26


@dataclass(frozen=True)
class Engine:
    """What opens a target's models: its name in the runner, and its library's."""

    name: str
    library: str


ENGINES = {
    "tflite": Engine("litert", "libLiteRt.so"),
    "onnx": Engine("onnxruntime", "libonnxruntime.so"),
}
# ABI -> the NDK's name of the target, where it is Android's.
ANDROID = {"arm64-v8a": "aarch64-linux-android", "x86_64": "x86_64-linux-android"}
LINUX = ("linux-aarch64", "linux-x86_64")
ABIS = (*ANDROID, *LINUX)


def build(abi: str, compiler: Sequence[str], packages: Sequence[Path], folder: Path) -> Path:
    """Compile the runner, and unpack the libraries.

    Args:
        abi: one of ``ABIS``.
        compiler: a C compiler for it, and its options.
        packages: of the runtimes: ``.aar``, ``.whl`` or ``.so`` files.
        folder: gets a folder of the ABI's name.

    Returns:
        That folder.

    Raises:
        BertMobileError: the compiler fails; in its own words.
        UsageError: a package without a library for the ABI.
    """
    into = folder / abi
    into.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files(__package__).joinpath("runner")) as sources:
        command = [*compiler, *FLAGS, *(str(sources / name) for name in SOURCES), "-ldl", "-o"]
        done = subprocess.run([*command, str(into / PROGRAM)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise BertMobileError(f"{compiler[0]} cannot compile the runner: {said[-500:]}")
    versions = {}
    for package in packages:
        engine, version = _unpack(package, abi, into)
        versions[engine] = version
    (into / VERSIONS).write_text(json.dumps({**read_versions(into), **versions}), encoding="utf-8")
    return into


def read_versions(folder: Path) -> dict[str, str | None]:
    """Versions of the libraries beside a runner, by the engine's name; None where a package did not tell."""
    path = folder / VERSIONS
    versions: dict[str, str | None] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return versions


def ndk_compiler(ndk: Path, abi: str) -> list[str]:
    """The compiler of an installed NDK.

    Raises:
        MissingToolError: there is none in that folder.
    """
    found = sorted(ndk.glob("toolchains/llvm/prebuilt/*/bin/clang"))
    if not found:
        raise MissingToolError(
            f"an NDK in {ndk}",
            "install one (sdkmanager 'ndk;28.2.13676358') and give its folder with --ndk",
        )
    return [str(found[-1]), f"--target={ANDROID[abi]}{API_LEVEL}"]


def linux_compiler(abi: str, named: str | None) -> list[str]:
    """A compiler for a Linux device: the one named, or the usual one.

    Raises:
        MissingToolError: it is not installed.
    """
    machine = abi.removeprefix("linux-")
    usual = f"{machine}-linux-gnu-gcc"
    wanted = named or usual
    if not shutil.which(wanted):
        package = f"gcc-{machine.replace('_', '-')}-linux-gnu"
        raise MissingToolError(wanted, f"on Debian: apt-get install {package}; or name another with --cc")
    return [wanted]


def _unpack(package: Path, abi: str, into: Path) -> tuple[str, str | None]:
    """Copy a library out of its package; which engine's it is, and its version."""
    if not package.is_file():
        raise UsageError(f"{package} does not exist; give the .aar, .whl or .so of a runtime")
    stems = {engine.library: engine for engine in ENGINES.values()}
    if package.suffix == ".so" or ".so." in package.name:
        for library, engine in stems.items():
            if package.name.startswith(library):
                shutil.copyfile(package, into / library)
                return engine.name, _version(package.name)
        raise UsageError(f"{package.name} is not one of {', '.join(stems)}")
    # A wheel may add a version to a library's name.
    folder, suffix = (f"jni/{abi}/", "") if abi in ANDROID else ("(?:.*/)?", "[.0-9]*")
    pattern = re.compile(rf"{folder}(?P<name>lib[^/]+?\.so){suffix}")
    try:
        with zipfile.ZipFile(package) as archive:
            for member in archive.namelist():
                found = pattern.fullmatch(member)
                name = found and found["name"]
                if name in stems:
                    with archive.open(member) as source, (into / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
                    return stems[name].name, _version(package.name)
    except zipfile.BadZipFile as failure:
        raise UsageError(f"{package} is neither an .aar, a .whl nor a .so file") from failure
    raise UsageError(f"{package.name} has no {' or '.join(stems)} for {abi}; take the package of that ABI")


def _version(name: str) -> str | None:
    """Of a package whose file name tells."""
    found = re.search(r"[-.](\d+\.\d+(?:\.\d+)?)\b", name)
    return found[1] if found else None
