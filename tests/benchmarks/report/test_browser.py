"""A real browser renders the page, and asks nobody for anything."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bertmobile_bench.report import page
from bertmobile_bench.report.merge import merge

from .documents import phones
from .pages import parse_html

CHROMIUM = shutil.which("chromium")
BAIT = '<img src="http://tracker.example/x.png"><link rel="stylesheet" href="http://tracker.example/y.css">'

# .ci/run installs it; continuous integration without it fails.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM and "CI" not in os.environ, reason="chromium is not installed"),
]


@pytest.fixture(scope="module")
def html() -> str:
    return page.render(merge(phones()))


def visit(html: str, folder: Path) -> tuple[str, set[str]]:
    """What a page has become, and what it asked for; no name resolves, so that nothing leaves the machine."""
    (folder / "report.html").write_text(html, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM or "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={folder / 'log.json'}", "--dump-dom", (folder / "report.html").as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    events = json.loads((folder / "log.json").read_text("utf-8"))["events"]
    # What the browser wants for itself has no origin.
    asked = {
        event["params"]["url"]
        for event in events
        if event.get("params", {}).get("initiator", "not an origin") != "not an origin"
    }
    return done.stdout, asked


def test_the_page_is_rendered_without_a_request(html: str, tmp_path: Path) -> None:
    rendered, asked = visit(html, tmp_path)
    assert asked == set()
    before, after = (parse_html(each) for each in (html, rendered))
    for name in ("table", "tr", "figure", "svg", "text", "li"):
        # Drawn as written: nothing was taken for something else and moved elsewhere.
        assert len(after.all(name)) == len(before.all(name)) > 0


def test_its_policy_stops_what_would_ask(html: str, tmp_path: Path) -> None:
    baited = html.replace("<main>", f"<main>{BAIT}")
    assert baited != html
    assert visit(baited, tmp_path)[1] == set()


def test_this_would_see_a_request(tmp_path: Path) -> None:
    asked = visit(f"<!DOCTYPE html><title>bait</title>{BAIT}", tmp_path)[1]
    assert asked == {"http://tracker.example/x.png", "http://tracker.example/y.css"}
