"""The accuracy table is made by one command, which goes on where it was stopped."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bertmobile_bench.accuracy_table import BEGIN, END, MODELS, Row, main, put, table
from tests.exports import small_checkpoint

ROW = Row("sentiment", "onnx", "int8", 23_000_000, 0.99951, 3947, 0.8604, 0.13, -0.15, 0.41, 0.0079)
PAGE = f"# Accuracy\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"


def test_each_target_and_recipe_has_one_line_with_both_models() -> None:
    masked = replace(ROW, model="masked-lm", reference=86.47, change=0.1, count=2500)
    other = replace(ROW, target="coreml")
    *_, first, second = table([ROW, other, masked, replace(masked, target="coreml")]).splitlines()
    assert first.startswith("| onnx | `int8` | 23,000,000 | +0.13 (-0.15 to +0.41) | 0.79% | +0.10 %")
    assert " | 4.9e-04 | " in first and second.startswith("| coreml |")


def test_only_what_is_between_the_markers_changes() -> None:
    assert put(PAGE, "new") == PAGE.replace("old", "new")
    with pytest.raises(ValueError, match="accuracy table"):
        put("# Accuracy\n", "new")


def test_a_second_run_takes_what_the_first_has_measured(tmp_path: Path) -> None:
    for name, model in MODELS.items():
        small_checkpoint(tmp_path / "work" / name, model.task)
        lines = ["the man came home", "good water", "bad rain and cold weather", "she was on the street"]
        if model.task == "text-classification":
            text = "text\tlabel\n" + "".join(
                f"{line}\t{label}\n" for line, label in zip(lines, ["bad", "good"] * 2, strict=True)
            )
        else:
            text = "".join(json.dumps({"text": line}) + "\n" for line in lines)
        (tmp_path / "work" / name / model.data).write_text(text, "utf-8")
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf-8")
    arguments = [str(page), "--work", str(tmp_path / "work"), "--target", "onnx", "--recipe", "int8"]
    first = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert first.exit_code == 0
    written = page.read_text("utf-8")
    assert "| onnx | `int8` |" in written and "Before." in written and "old" not in written
    kept = (tmp_path / "work" / "rows.jsonl").read_text("utf-8")
    assert len(kept.splitlines()) == 2
    again = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert again.exit_code == 0 and page.read_text("utf-8") == written
    assert (tmp_path / "work" / "rows.jsonl").read_text("utf-8") == kept
