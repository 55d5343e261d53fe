"""``:core`` in Kotlin gives what Python and Hugging Face's tokenizers give."""

import os
import re
import subprocess
from itertools import islice
from pathlib import Path
from random import SystemRandom

import pytest

from tests.mobile_demo_android import kotlin
from tests.mobile_demo_android.answers import differences, every_code_point, generated
from tests.mobile_demo_android.kotlin import CORE, Core, Refused, Toolchain, Unreachable, missing

# For a long check: BERTMOBILE_TEXTS=1000000.
TEXTS = int(os.environ.get("BERTMOBILE_TEXTS", "50000"))
SEED = int(os.environ.get("BERTMOBILE_SEED") or SystemRandom().randrange(1 << 32))

# What a phone answers by the Unicode version of its system, or at all on Android only.
PLATFORM = re.compile(
    r"java\.text|Normalizer\.Form|Character\.|lowercase|uppercase|titlecase|toLowerCase|toUpperCase|isLetter|isDigit"
    r"|isWhitespace|isISOControl|\.category\b(?!\()|CharCategory|IGNORE_CASE|ignoreCase|\.trim|isBlank|BreakIterator|\bicu\b"
    r"|import (android|org\.json)"
)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    if missing() and not os.environ.get("CI"):
        pytest.skip(f"needs {', '.join(missing())}")
    try:
        toolchain = Toolchain.fetch()
    except Unreachable as reason:
        pytest.skip(str(reason))
    return Core.build(toolchain, tmp_path_factory.mktemp("kotlin"))


@pytest.mark.slow
def test_core_compiles_without_warnings_and_passes_its_tests(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    totals = core.test()
    with capsys.disabled():
        print(f"\n:core: {totals}")
    assert totals.failed == 0, totals.said
    # As many as there are vectors, at least: none was left out.
    assert totals.passed > 2_500


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_generated_texts_become_the_tokens_of_hugging_face(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{TEXTS} generated texts, BERTMOBILE_SEED={SEED}")
    found = list(differences(core, islice(generated(SEED), TEXTS)))
    assert not found, f"{len(found)} of {TEXTS} texts differ, such as {found[:5]!r}"


@pytest.mark.slow
def test_every_code_point_is_what_it_is_for_hugging_face(core: Core) -> None:
    found = list(differences(core, every_code_point()))
    assert not found, f"{len(found)} texts differ, such as {found[:2]!r}"


def test_a_compiler_that_is_not_the_pinned_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pack(*command: str, cwd: Path, check: bool) -> subprocess.CompletedProcess[str]:
        (cwd / "kotlin-compiler.tgz").write_bytes(b"another compiler")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kotlin, "_run", pack)
    with pytest.raises(Refused, match="is not the one that was pinned"):
        Toolchain.fetch()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(bool(missing()), reason="needs npm")
def test_a_registry_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(Unreachable, match="cannot reach npm's registry"):
        Toolchain.fetch()


def test_core_asks_no_platform_about_unicode_and_imports_nothing_of_android() -> None:
    sources = sorted((CORE / "main/kotlin").rglob("*.kt"))
    assert len(sources) > 10
    found = [
        f"{path.name}: {line.strip()}"
        for path in sources
        for line in path.read_text("utf-8").splitlines()
        if PLATFORM.search(line)
    ]
    assert found == []


def test_the_sources_are_no_wider_than_kotlins_style_allows() -> None:
    for path in sorted(CORE.rglob("*.kt")):
        lines = path.read_text("utf-8").splitlines()
        assert [line for line in lines if len(line) > 120 or line != line.rstrip()] == [], path
