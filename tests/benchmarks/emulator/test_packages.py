"""Packages come from the user's mirror, and apt's words reach the user."""

from pathlib import Path

import pytest

from bertmobile.errors import BertMobileError, MissingToolError
from bertmobile_bench.emulator import packages, tools

DEPENDS = """linux-image-cloud-arm64
  Depends: linux-image-6.1.0-50-cloud-arm64
"""
BROKEN_APT = """#!/bin/sh
[ "$1" = indextargets ] && echo http://mirror.example/debian && exit
echo "E: The repository is not signed." >&2
exit 100
"""


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        (["http://mirror.example/debian/"], "http://mirror.example/debian/"),
        (["https://tools.example/apt", "http://mirror.example/linux/debian"], "http://mirror.example/linux/debian"),
    ],
)  # fmt: skip
def test_the_mirror_is_that_of_the_system(addresses: list[str], chosen: str) -> None:
    assert packages.choose_mirror(addresses) == chosen


@pytest.mark.parametrize(
    "addresses", [["http://mirror.example/debian-security/"], ["http://archive.example/ubuntu/"], []]
)
def test_a_system_without_debians_packages_is_told_so(addresses: list[str]) -> None:
    with pytest.raises(MissingToolError, match="add a mirror of Debian"):
        packages.choose_mirror(addresses)


def test_the_package_of_the_newest_kernel_is_read_from_the_meta_package() -> None:
    assert packages.depends_on(DEPENDS) == "linux-image-6.1.0-50-cloud-arm64"


def test_an_answer_without_a_kernel_is_an_error() -> None:
    with pytest.raises(BertMobileError, match="no kernel"):
        packages.depends_on("linux-image-cloud-arm64\n")


def test_the_recipe_can_be_read() -> None:
    recipe = packages.read_recipe()
    assert "adbd" in recipe.packages and recipe.modules[-1] == "virtio_net"
    assert all(path.endswith("/") for path in recipe.left_out)


def test_what_apt_says_reaches_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        path = tmp_path / program
        path.write_text(BROKEN_APT, encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    monkeypatch.setattr(tools, "KEYRING", keyring)
    with pytest.raises(BertMobileError, match=r"apt-get update says: E: The repository is not signed\."):
        packages.fetch(packages.read_recipe(), tmp_path / "root")


def test_missing_keys_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "KEYRING", tmp_path / "debian-archive-keyring.gpg")
    with pytest.raises(MissingToolError, match="apt-get install debian-archive-keyring"):
        tools.require_keyring()
