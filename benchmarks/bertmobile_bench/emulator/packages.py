"""Debian packages, fetched and verified by apt, without touching what the system has installed."""

import os
import re
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bertmobile.errors import BertMobileError, MissingToolError
from bertmobile_bench.emulator.tools import KEYRING, require, require_keyring

ARCHITECTURE = "arm64"
_ARCHIVES = "var/cache/apt/archives"
# apt has read the system's own configuration by then, whose proxies are wanted and whose hooks are not.
_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "{architecture}";
APT::Architectures "{architecture}";
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Retries "3";
Dir "{root}";
Dir::State::status "{root}/status";
"""
_SOURCE = """\
Types: deb
URIs: {mirror}
Suites: {suites}
Components: main
Targets: Packages
Signed-By: {keyring}
"""


@dataclass(frozen=True)
class Recipe:
    """What the device is made of; ``device.toml`` explains each."""

    suites: tuple[str, ...]
    packages: tuple[str, ...]
    kernel: str
    modules: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Fetched:
    """Package files: the kernel's, and all others."""

    kernel: Path
    others: list[Path]


def read_recipe() -> Recipe:
    """The recipe of the one device that there is."""
    data: dict[str, Any] = tomllib.loads(Path(__file__).with_name("device.toml").read_text("utf-8"))
    kernel = data.pop("kernel")
    return Recipe(kernel=kernel, **{key: tuple(names) for key, names in data.items()})


def fetch(recipe: Recipe, root: Path) -> Fetched:
    """Download the packages of a device into the new folder ``root``.

    Raises:
        MissingToolError: this is no system with apt and Debian's keys.
        BertMobileError: a package cannot be had, or its signature is wrong; in apt's own words.
    """
    require("apt-get", "apt-cache", "dpkg-deb")
    require_keyring()
    apt = Apt(recipe.suites, root, ARCHITECTURE)
    # The name of a kernel's package holds its version; a meta-package points to the newest.
    kernel = depends_on(apt("apt-cache", "depends", "--important", recipe.kernel))
    # Alone: it depends on tools that a computer's kernel is installed with.
    apt("apt-get", "download", kernel)
    others = apt.download(*recipe.packages)
    return Fetched(next(root.glob("*.deb")), others)


def depends_on(said: str) -> str:
    """The first dependency in the answer of ``apt-cache depends``.

    Raises:
        BertMobileError: there is none.
    """
    found = re.search(r"^ *Depends: (\S+)$", said, re.M)
    if not found:
        raise BertMobileError(f"apt names no kernel; it says: {said}")
    return found[1]


def mirror() -> str:
    """Where this system has its Debian packages from.

    Raises:
        MissingToolError: from nowhere.
    """
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return choose_mirror(done.stdout.split())


def choose_mirror(addresses: list[str]) -> str:
    """The first of apt's sources that is named as Debian's mirrors are.

    A wrong choice can fail, but cannot deceive: packages have to be signed by Debian.

    Raises:
        MissingToolError: none is.
    """
    named = (each for each in addresses if urlsplit(each).path.rstrip("/").endswith("/debian"))
    found = next(named, None)
    if found is None:
        raise MissingToolError("a source of Debian's packages", "add a mirror of Debian to apt's sources")
    return found


class Apt:
    """apt with a system of its own in the new folder ``root``, where nothing is installed.

    Args:
        suites: of Debian; packages come from the last where it has them.
        root: gets a folder for each part of apt.
        architecture: of the packages.

    Raises:
        BertMobileError: the mirror cannot be reached.
    """

    def __init__(self, suites: Sequence[str], root: Path, architecture: str) -> None:
        self._root, self._suites = root, suites
        self._mirror = mirror()
        sources = root / "etc/apt/sources.list.d/debian.sources"
        for folder in (sources.parent, root / "var/lib/apt/lists/partial", root / _ARCHIVES / "partial"):
            folder.mkdir(parents=True)
        sources.write_text(
            _SOURCE.format(mirror=self._mirror, suites=" ".join(suites), keyring=KEYRING), "utf-8"
        )
        (root / "apt.conf").write_text(_CONFIGURATION.format(root=root, architecture=architecture), "utf-8")
        (root / "status").touch()
        self("apt-get", "update")

    def download(self, *packages: str) -> list[Path]:
        """Files of packages and of all that these depend on."""
        release = ("--target-release", self._suites[-1])
        self("apt-get", "install", "--download-only", "--yes", *release, *packages)
        return sorted((self._root / _ARCHIVES).glob("*.deb"))

    def __call__(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [program, "--config-file", str(self._root / "apt.conf"), *arguments],
            cwd=self._root, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        # "update" takes a mirror that cannot be reached for a warning.
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W: Failed"))]
        if done.returncode or lines:
            raise BertMobileError(
                f"the packages of the emulated device cannot be fetched from {self._mirror}; "
                f"{program} {arguments[0]} says: {' '.join(lines) or done.returncode}"
            )
        return done.stdout
