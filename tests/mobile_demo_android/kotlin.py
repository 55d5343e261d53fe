"""Compile the Kotlin modules and run their JUnit tests: ``python -m tests.mobile_demo_android.kotlin``."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mobile_demo_android import downloads
from tests.mobile_demo_android.downloads import Refused, cached, run
from tests.mobile_demo_android.modules import CORE, Module
from tests.vectors.write import VECTORS

PROGRAMS = ("java", "npm", "apt-get", "dpkg-deb")

_KOTLIN = "2.4.20"
_KOTLIN_SHA512 = "IF5IVM7LpPhA/ntHQQpaVt1yxpaaQovtEVYLyqWMuaLr0XelLPPm7/sM6HLhtcRjjjoSsK7I7lP2kzYJkMy73w=="
_PACKAGES = ("junit5", "libapiguardian-java", "libopentest4j-java", "libpicocli-java")
_JARS = (
    "junit-jupiter-api", "junit-jupiter-engine", "junit-platform-commons", "junit-platform-console",
    "junit-platform-engine", "junit-platform-launcher", "junit-platform-reporting", "apiguardian-api",
    "opentest4j", "picocli",
)  # fmt: skip
_COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
_LAUNCHER = "org.junit.platform.console.ConsoleLauncher"
_JVM = "17"
# For programs that run for seconds: to compile them better than this takes longer than it saves.
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


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
        return cls(
            cached(
                f"kotlin-compiler-{_KOTLIN}",
                lambda folder: downloads.npm("kotlin-compiler", _KOTLIN, _KOTLIN_SHA512, folder),
            )
            / "package/lib",
            cached("junit5", lambda folder: downloads.debian(_PACKAGES, folder)) / "usr/share/java",
        )

    @property
    def standard_library(self) -> Path:
        """What every compiled class needs at run time."""
        return self.kotlin / "kotlin-stdlib.jar"

    def compile(
        self,
        sources: Path | Sequence[Path],
        classes: Path,
        *,
        beside: Sequence[Path] = (),
        friends: Sequence[Path] = (),
        test: bool = False,
    ) -> None:
        """Compile with warnings as errors.

        Args:
            sources: files or folders.
            classes: the folder that is written.
            beside: jars and folders with the classes that the sources use.
            friends: those of ``beside`` whose internal parts may be used, too; for a test, all of them.

        Raises:
            Refused: in the compiler's own words.
        """
        sources = [sources] if isinstance(sources, Path) else list(sources)
        path = [*beside, *(self._junit_jars() if test else ())]
        arguments: list[str | Path] = ["-no-reflect", "-Werror", "-jvm-target", _JVM, "-d", classes, *sources]
        if path:
            arguments += ["-classpath", _joined(path)]
        if friends or test:
            arguments.append(f"-Xfriend-paths={','.join(map(str, friends or beside))}")
        done = run(
            *JAVA, "-Xmx1g", "-cp", self.kotlin / "kotlin-compiler.jar", _COMPILER, *arguments, check=False
        )
        if done.returncode:
            raise Refused(f"{', '.join(map(str, sources))} does not compile:\n{done.stdout}{done.stderr}")

    def java(self, classes: Sequence[Path], *arguments: str | Path, test: bool = False) -> list[str | Path]:
        """A command that runs compiled classes on the vectors."""
        path = [*classes, self.standard_library, *(self._junit_jars() if test else ())]
        return ["java", "-Xmx512m", f"-Dbertmobile.vectors={VECTORS}", "-cp", _joined(path), *arguments]

    def _junit_jars(self) -> list[Path]:
        return [self.junit / f"{name}.jar" for name in _JARS]


class Workshop:
    """Compiles modules into a folder, each once, after those that it uses."""

    def __init__(
        self, toolchain: Toolchain, folder: Path, libraries: Mapping[str, Path] | None = None
    ) -> None:
        """
        Args:
            folder: gets a folder for the classes of each module.
            libraries: jars or folders of classes by the names that modules have for them.
        """
        self.toolchain = toolchain
        self._folder = folder
        self._libraries = libraries or {}
        self._path: dict[Module, list[Path]] = {}

    def classes(self, module: Module) -> Path:
        """The folder with the compiled classes and the resources of a module.

        Raises:
            Refused: in the compiler's own words.
        """
        return self.path(module)[0]

    def path(self, module: Module) -> list[Path]:
        """The class path that a module runs with: its own classes, then what it uses.

        Raises:
            Refused: in the compiler's own words.
        """
        if module not in self._path:
            beside = self._beside(module)
            classes = self._folder / module.name
            classes.mkdir(parents=True)
            if module.sources:
                friends = self._friends(module)
                self.toolchain.compile(module.sources, classes, beside=beside, friends=friends)
            for resources in module.resources:
                shutil.copytree(resources, classes, dirs_exist_ok=True)
            self._path[module] = [classes, *beside]
        return self._path[module]

    def command(
        self, module: Module, *arguments: str | Path, options: Sequence[str] = ()
    ) -> list[str | Path]:
        """Runs a class of a module or of its tests.

        Args:
            options: of the JVM.

        Raises:
            Refused: in the compiler's own words.
        """
        path = self.path(module)
        tests = self._folder / f"{module.name}-tests"
        if not tests.is_dir():
            # Tests that are a module of their own are about the modules beside them.
            friends = path[:1] if module.sources else path
            self.toolchain.compile(module.tests, tests, beside=path, friends=friends, test=True)
        command = self.toolchain.java([tests, *path], *arguments, test=True)
        return [command[0], *options, *command[1:]]

    def test(self, module: Module, *, options: Sequence[str] = ()) -> Totals:
        """Run all JUnit tests of a module.

        Args:
            options: of the JVM.

        Raises:
            Refused: in the compiler's own words.
        """
        launcher = self.command(module, _LAUNCHER, "--scan-classpath", self._folder / f"{module.name}-tests",
                                "--disable-banner", "--details=summary", "--disable-ansi-colors",
                                options=options)  # fmt: skip
        done = run(*launcher, check=False)
        counted = {kind: int(count) for count, kind in re.findall(r"(\d+) tests (\w+)", done.stdout)}
        # A container that fails, such as a class whose tests cannot be listed, has no failed test.
        containers = re.search(r"(\d+) containers failed", done.stdout)
        failed = counted.get("failed", 0) + int(containers[1] if containers else 1)
        return Totals(counted.get("successful", 0), failed, done.stdout + done.stderr)

    def _friends(self, module: Module) -> list[Path]:
        return [self.classes(module.inside)] if module.inside else []

    def _beside(self, module: Module) -> list[Path]:
        used = [path for each in module.uses for path in self.path(each)]
        # The same path may be reached in two ways; what the module names itself comes first.
        return list(dict.fromkeys([*(self._libraries[name] for name in module.libraries), *used]))


def missing() -> list[str]:
    """The programs that this needs and that are not installed."""
    return downloads.missing(*PROGRAMS)


def _joined(paths: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, paths))


def main() -> int:
    """Print the totals of ``:core``, and what failed."""
    return downloads.reported(_check)


def _check() -> int:
    with tempfile.TemporaryDirectory() as created:
        totals = Workshop(Toolchain.fetch(), Path(created)).test(CORE)
    if totals.failed:
        print(totals.said)
    print(totals)
    return int(totals.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
