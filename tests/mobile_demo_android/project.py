"""What the Gradle files of the app say, as far as an APK is made of it here."""

import re
import tomllib
from dataclasses import dataclass

from tests.mobile_demo_android.modules import PROJECT


@dataclass(frozen=True)
class AppFacts:
    """Facts of ``app/build.gradle.kts`` and ``gradle/libs.versions.toml``."""

    application_id: str
    version_code: int
    version_name: str
    minimum: int
    """The oldest API level that the app runs on."""
    target: int
    abis: tuple[str, ...]
    no_compress: tuple[str, ...]
    profileable: frozenset[str]
    """The build types that a profiler may look into."""


def read_facts() -> AppFacts:
    """Read the files.

    Raises:
        ValueError: one of them does not say what it is expected to say.
    """
    versions = tomllib.loads((PROJECT / "gradle/libs.versions.toml").read_text("utf-8"))["versions"]
    build = (PROJECT / "app/build.gradle.kts").read_text("utf-8")
    types = re.findall(r'^ {8}(?:create\("(\w+)"\)|(\w+)) \{\n(.*?)^ {8}\}', build, re.MULTILINE | re.DOTALL)
    return AppFacts(
        application_id=_one(r'applicationId = "([\w.]+)"', build),
        version_code=int(_one(r"versionCode = (\d+)", build)),
        version_name=_one(r'versionName = "([\w.]+)"', build),
        minimum=int(versions["minSdk"]),
        target=int(versions["compileSdk"]),
        abis=_list("abiFilters", build),
        no_compress=_list("noCompress", build),
        profileable=frozenset(
            created or known for created, known, body in types if "isProfileable = true" in body
        ),
    )


def _one(pattern: str, text: str) -> str:
    if (match := re.search(pattern, text)) is None:
        raise ValueError(f"app/build.gradle.kts has nothing like {pattern}")
    return match[1]


def _list(name: str, text: str) -> tuple[str, ...]:
    return tuple(re.findall(r'"([\w.-]+)"', _one(rf"{name} \+= listOf\((.*?)\)", text)))
