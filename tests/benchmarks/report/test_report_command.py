"""``bertmobile-bench report`` writes whole files, and says what is wrong with others."""

from pathlib import Path

import pytest

from bertmobile_bench.cli import main

from .documents import document, result, write


@pytest.fixture
def host_json(tmp_path: Path) -> Path:
    return write(tmp_path / "host.json", document())


def test_both_files_are_written_and_replace_others(
    host_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, markdown = tmp_path / "site" / "report.html", tmp_path / "results.md"
    markdown.write_text("old", encoding="utf-8")
    twice = [document([result(threads=2)], created=f"2026-03-0{day}T00:00:00Z") for day in (2, 3)]
    more = write(tmp_path / "more.jsonl", *twice)
    assert main(["report", str(host_json), str(more), "--out", str(out), "--markdown", str(markdown)]) == 0
    assert f"{out}: devices: 1, results: 2, of them measured again: 1" in capsys.readouterr().out
    assert out.read_text("utf-8").startswith("<!DOCTYPE html>") and "| Pixel 8 |" in markdown.read_text(
        "utf-8"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"host.json", "more.jsonl", "site", "results.md"}
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_stdout_has_markdown_and_nothing_else(
    host_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(host_json), "--markdown", "-", "--out", str(tmp_path / "a.html")]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Measured 2026-03-01") and "a.html" not in said.out
    assert "a.html" in said.err


def test_an_interrupted_run_is_reported_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "results.jsonl", document(), document())
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["report", str(path), "--markdown", "-"]) == 0
    assert "warning: " in (err := capsys.readouterr().err) and "results.jsonl, line 2 is cut off" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["host.json"], "give --out, --markdown or both"),
        (["--out", "a.html"], "RESULTS"),
        (["host.json", "broken.json", "--out", "a.html"], "broken.json is not JSON"),
        (["host.json", "--out", "a.html", "--markdown", "./a.html"], "the same file"),
        (["host.json", "--out", "host.json"], "one of the results"),
        (["host.json", "--out", "a.html", "--workload", "7"], "no result has the workload 7"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(
    host_json: Path,
    tmp_path: Path,
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    before = host_json.read_bytes()
    assert main(["report", *arguments]) == 2
    assert says in capsys.readouterr().err
    assert host_json.read_bytes() == before and not (tmp_path / "a.html").exists()


def test_a_file_that_cannot_be_put_in_place_leaves_nothing(host_json: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    assert main(["report", str(host_json), "--out", str(tmp_path / "report.html")]) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"host.json", "report.html"}
