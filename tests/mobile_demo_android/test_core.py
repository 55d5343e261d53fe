"""``:core`` in Kotlin gives what Python and Hugging Face's tokenizers give."""

import os
import re
from itertools import islice
from random import SystemRandom

import pytest

from tests.conftest import Announce
from tests.mobile_demo_android.answers import differences, every_code_point, generated
from tests.mobile_demo_android.kotlin import Workshop
from tests.mobile_demo_android.modules import CORE, PROJECT

# For a long check: BERTMOBILE_TEXTS=1000000.
TEXTS = int(os.environ.get("BERTMOBILE_TEXTS", "50000"))
SEED = int(os.environ.get("BERTMOBILE_SEED") or SystemRandom().randrange(1 << 32))

# What a phone answers by the Unicode version of its system, or at all on Android only.
PLATFORM = re.compile(
    r"java\.text|Normalizer\.Form|Character\.|lowercase|uppercase|titlecase|toLowerCase|toUpperCase|isLetter|isDigit"
    r"|isWhitespace|isISOControl|\.category\b(?!\()|CharCategory|IGNORE_CASE|ignoreCase|\.trim|isBlank|BreakIterator|\bicu\b"
    r"|import (android|org\.json)"
)


@pytest.mark.slow
def test_core_compiles_without_warnings_and_passes_its_tests(workshop: Workshop, announce: Announce) -> None:
    totals = workshop.test(CORE)
    announce(f":core: {totals}")
    assert totals.failed == 0, totals.said
    # As many as there are vectors, at least: none was left out.
    assert totals.passed > 2_500


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_generated_texts_become_the_tokens_of_hugging_face(workshop: Workshop, announce: Announce) -> None:
    announce(f"{TEXTS} generated texts, BERTMOBILE_SEED={SEED}")
    found = list(differences(workshop, islice(generated(SEED), TEXTS)))
    assert not found, f"{len(found)} of {TEXTS} texts differ, such as {found[:5]!r}"


@pytest.mark.slow
def test_every_code_point_is_what_it_is_for_hugging_face(workshop: Workshop) -> None:
    found = list(differences(workshop, every_code_point()))
    assert not found, f"{len(found)} texts differ, such as {found[:2]!r}"


def test_core_asks_no_platform_about_unicode_and_imports_nothing_of_android() -> None:
    sources = sorted(CORE.sources[0].rglob("*.kt"))
    assert len(sources) > 10
    found = [
        f"{path.name}: {line.strip()}"
        for path in sources
        for line in path.read_text("utf-8").splitlines()
        if PLATFORM.search(line)
    ]
    assert found == []


def test_the_sources_are_no_wider_than_kotlins_style_allows() -> None:
    for path in sorted(PROJECT.rglob("*.kt")):
        lines = path.read_text("utf-8").splitlines()
        assert [line for line in lines if len(line) > 120 or line != line.rstrip()] == [], path
