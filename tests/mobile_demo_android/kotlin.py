"""Compile ``:core`` and run its JUnit tests: ``python -m tests.mobile_demo_android.kotlin``."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vectors.write import ROOT, VECTORS

CORE = ROOT / "mobile_demo_android/core/src"
PROGRAMS = ("java", "npm", "apt-get", "dpkg-deb")

_KOTLIN = "2.4.20"
# As the registry names it (npm view kotlin-compiler@2.4.20 dist.integrity).
_KOTLIN_SHA512 = "IF5IVM7LpPhA/ntHQQpaVt1yxpaaQovtEVYLyqWMuaLr0XelLPPm7/sM6HLhtcRjjjoSsK7I7lP2kzYJkMy73w=="
# apt checks what it fetches against the signed lists of packages.
_PACKAGES = ("junit5", "libapiguardian-java", "libopentest4j-java", "libpicocli-java")
_JARS = (
    "junit-jupiter-api", "junit-jupiter-engine", "junit-platform-commons", "junit-platform-console",
    "junit-platform-engine", "junit-platform-launcher", "junit-platform-reporting", "apiguardian-api",
    "opentest4j", "picocli",
)  # fmt: skip
_COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
_LAUNCHER = "org.junit.platform.console.ConsoleLauncher"
_JVM = "17"


class Unreachable(Exception):
    """A registry does not answer."""


class Refused(Exception):
    """The compiler or a download is not what it should be."""


@dataclass(frozen=True)
class Totals:
    """What JUnit counted, and what it said."""

    passed: int
    failed: int
    said: str

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed"


@dataclass(frozen=True)
class Toolchain:
    """Folders with the jars of the Kotlin compiler and of JUnit."""

    kotlin: Path
    junit: Path

    @classmethod
    def fetch(cls) -> "Toolchain":
        """From the user's cache, or from npm and Debian.

        Raises:
            Unreachable: npm's registry or Debian's mirror cannot be reached.
            Refused: the compiler is not the one that was pinned.
        """
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bertmobile" / "kotlin"
        return cls(
            _cached(cache / f"kotlin-compiler-{_KOTLIN}", _fetch_kotlin) / "package/lib",
            _cached(cache / "junit5", _fetch_junit) / "usr/share/java",
        )

    def compile(
        self, sources: Path, classes: Path, *, beside: Sequence[Path] = (), test: bool = False
    ) -> None:
        """Compile with warnings as errors; a test sees what is internal to ``beside``.

        Raises:
            Refused: in the compiler's own words.
        """
        path = [*beside, *(self._junit_jars() if test else ())]
        arguments: list[str | Path] = ["-no-reflect", "-Werror", "-jvm-target", _JVM, "-d", classes, sources]
        if path:
            arguments += ["-classpath", _joined(path)]
        if test:
            arguments.append(f"-Xfriend-paths={','.join(map(str, beside))}")
        done = _run(
            "java", "-Xmx1g", "-cp", self.kotlin / "kotlin-compiler.jar", _COMPILER, *arguments, check=False
        )
        if done.returncode:
            raise Refused(f"{sources} does not compile:\n{done.stdout}{done.stderr}")

    def java(self, classes: Sequence[Path], *arguments: str | Path, test: bool = False) -> list[str | Path]:
        """A command that runs compiled classes on the vectors."""
        path = [*classes, self.kotlin / "kotlin-stdlib.jar", *(self._junit_jars() if test else ())]
        return ["java", "-Xmx512m", f"-Dbertmobile.vectors={VECTORS}", "-cp", _joined(path), *arguments]

    def _junit_jars(self) -> list[Path]:
        return [self.junit / f"{name}.jar" for name in _JARS]


@dataclass(frozen=True)
class Core:
    """``:core`` and its tests, compiled."""

    toolchain: Toolchain
    classes: Path
    tests: Path

    @classmethod
    def build(cls, toolchain: Toolchain, folder: Path) -> "Core":
        """Compile into a new folder.

        Raises:
            Refused: in the compiler's own words.
        """
        core = cls(toolchain, folder / "core", folder / "tests")
        toolchain.compile(CORE / "main/kotlin", core.classes)
        shutil.copytree(CORE / "main/resources", core.classes, dirs_exist_ok=True)
        toolchain.compile(CORE / "test/kotlin", core.tests, beside=[core.classes], test=True)
        return core

    def command(self, *arguments: str | Path) -> list[str | Path]:
        """Runs a class of ``:core`` or its tests."""
        return self.toolchain.java([self.classes, self.tests], *arguments, test=True)

    def test(self) -> Totals:
        """Run all JUnit tests."""
        launcher = self.command(_LAUNCHER, "--scan-classpath", self.tests, "--disable-banner",
                                "--details=summary", "--disable-ansi-colors")  # fmt: skip
        done = _run(*launcher, check=False)
        counted = {kind: int(count) for count, kind in re.findall(r"(\d+) tests (\w+)", done.stdout)}
        # A container that fails, such as a class whose tests cannot be listed, has no failed test.
        containers = re.search(r"(\d+) containers failed", done.stdout)
        failed = counted.get("failed", 0) + int(containers[1] if containers else 1)
        return Totals(counted.get("successful", 0), failed, done.stdout + done.stderr)


def missing() -> list[str]:
    """The programs that this needs and that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def _cached(folder: Path, fetch: Callable[[Path], Path]) -> Path:
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as created:
            fetched = fetch(Path(created))
            # Another process may have been quicker.
            if not folder.is_dir():
                fetched.rename(folder)
    return folder


def _fetch_kotlin(folder: Path) -> Path:
    done = _run("npm", "pack", f"kotlin-compiler@{_KOTLIN}", "--silent", cwd=folder, check=False)
    if done.returncode:
        raise Unreachable(f"cannot reach npm's registry: {_last_line(done.stderr)}")
    archive = next(folder.glob("*.tgz"))
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != _KOTLIN_SHA512:
        raise Refused(f"kotlin-compiler {_KOTLIN} is not the one that was pinned: its SHA-512 differs")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked"


def _fetch_junit(folder: Path) -> Path:
    # apt's own user may not write here, and says so unless it is told not to be that user.
    done = _run(
        "apt-get", "-o", "APT::Sandbox::User=root", "download", "--quiet", *_PACKAGES, cwd=folder, check=False
    )
    if done.returncode:
        raise Unreachable(f"cannot reach Debian's packages ({_last_line(done.stderr)}); try apt-get update")
    for package in folder.glob("*.deb"):
        _run("dpkg-deb", "--extract", package, folder / "unpacked")
    return folder / "unpacked"


def _run(
    *command: str | Path, cwd: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, check=check, capture_output=True, text=True)


def _joined(paths: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, paths))


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or ["it says nothing"])[-1]


def main() -> int:
    """Print the totals, and what failed."""
    with tempfile.TemporaryDirectory() as created:
        totals = Core.build(Toolchain.fetch(), Path(created)).test()
    if totals.failed:
        print(totals.said)
    print(totals)
    return int(totals.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
