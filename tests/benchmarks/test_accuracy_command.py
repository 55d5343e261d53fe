"""``bertmobile-bench`` and its command ``accuracy``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bertmobile_bench.cli import COMMANDS, main
from bertmobile_bench.schemas import validate
from bertmobile_export.threads import one_thread_each
from tests.exports import Exports

TEXTS = ("The sea was far.", "I love the rain in Paris.", "It was a long story.")


@pytest.fixture(autouse=True, scope="module")
def single() -> Any:
    with one_thread_each():
        yield


def command(exports: Exports, task: str, data: Path, content: str) -> list[str]:
    data.write_text(content, encoding="utf-8")
    bundle, reference = exports(task, target="onnx").bundle, exports.checkpoint(task)
    return ["accuracy", str(bundle), "--reference", str(reference), "--data", str(data)]


@pytest.fixture
def classify(exports: Exports, tmp_path: Path) -> list[str]:
    """A command that labels three texts."""
    content = "text\tlabel\n" + "".join(f"{text}\tgood\n" for text in TEXTS)
    return command(exports, "text-classification", tmp_path / "data.tsv", content)


@pytest.fixture
def fill(exports: Exports, tmp_path: Path) -> list[str]:
    """A command that masks the tokens of three texts."""
    content = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    return command(exports, "fill-mask", tmp_path / "data.jsonl", content)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    return err


def test_the_table_of_a_classifier(classify: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(classify) == 0
    out, err = capfd.readouterr()
    title, header, row, matthews = out.splitlines()
    assert err == "" and "tiny-text-classification" in title and title.endswith(": 3 texts")
    assert header.split() == ["reference", "bundle", "change", "95", "%", "interval", "flipped"]
    assert row.startswith("accuracy") and "+0.00 points" in row and row.endswith(" 0.00 %")
    assert matthews.startswith("matthews") and "+0.0000" in matthews
    assert main([*classify, "--measure", "matthews"]) == 0
    assert [row.split() for row in capfd.readouterr().out.splitlines()[2:]] == [matthews.split()]


def test_the_table_of_a_masked_lm(fill: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*fill, "--masks-per-text", "2"]) == 0
    title, _, *rows = capfd.readouterr().out.splitlines()
    assert title.endswith(": 3 texts, 6 masks")
    assert [row.split()[0] for row in rows] == ["pseudo-perplexity", "top-1", "top-5"]


@pytest.fixture
def tag(exports: Exports, tmp_path: Path) -> list[str]:
    """A command that tags three sentences."""
    content = "\n".join("".join(f"{word} B-PER\n" for word in text.split()) for text in TEXTS)
    return command(exports, "token-classification", tmp_path / "data.conll", content)


@pytest.fixture
def answer(exports: Exports, tmp_path: Path) -> list[str]:
    """A command that answers a question about each of three texts."""
    rows = [{"question": "What?", "context": text, "answers": [text.split()[1]]} for text in TEXTS]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    return command(exports, "question-answering", tmp_path / "data.jsonl", content)


@pytest.fixture
def follow(exports: Exports, tmp_path: Path) -> list[str]:
    """A command that judges three pairs."""
    content = "text\tpair\tlabel\n" + "".join(f"{text}\tAnd then.\tis_next\n" for text in TEXTS)
    return command(exports, "next-sentence", tmp_path / "data.tsv", content)


@pytest.fixture
def liken(exports: Exports, tmp_path: Path) -> list[str]:
    """A command that compares three pairs."""
    rows = enumerate(TEXTS)
    content = "sentence1\tsentence2\tscore\n" + "".join(f"{text}\tThe sea.\t{i}.5\n" for i, text in rows)
    return command(exports, "feature-extraction", tmp_path / "data.tsv", content)


def test_the_table_of_a_tagger_counts_words(tag: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(tag) == 0
    title, _, *rows = capfd.readouterr().out.splitlines()
    assert title.endswith(": 3 texts, 15 words")
    assert [row.split()[0] for row in rows] == ["f1", "precision", "recall", "accuracy"]


def test_the_table_of_answers_counts_questions(answer: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(answer) == 0
    title, _, *rows = capfd.readouterr().out.splitlines()
    assert title.endswith(": 3 questions")
    assert [row.split()[0] for row in rows] == ["exact-match", "f1"]


@pytest.mark.parametrize("kind", ["classify", "fill", "tag", "answer", "follow", "liken"])
def test_json_fits_its_schema_and_names_no_place(
    kind: str, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*request.getfixturevalue(kind), "--json", "--limit", "2"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and out.count("\n") == 1
    document = json.loads(out)
    validate(document, "accuracy")
    assert (document["data"]["texts"], document["data"]["lines"]) == (2, 3)
    assert document["reference"].startswith("tiny-") and "/" not in out
    assert document["same_weights"] is True and document["recipe"] == "float32"
    assert all(text not in out for text in TEXTS)


def test_errors_have_one_line_and_their_exit_code(
    classify: list[str], fill: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*classify[:-1], str(tmp_path / "absent.tsv")]) == 2
    assert "absent.tsv cannot be read" in error_line(capsys)
    assert main([*classify, "--measure", "recall"]) == 2
    assert "no measure recall; it has accuracy, matthews" in error_line(capsys)
    assert main([*classify, "--masks-per-text", "2"]) == 2
    assert "--masks-per-text" in error_line(capsys)
    assert main(["accuracy", str(tmp_path), *classify[2:]]) == 1
    assert "is not a bundle" in error_line(capsys)
    assert main([*classify[:3], str(tmp_path / "absent"), *classify[4:]]) == 1
    assert "absent" in error_line(capsys)
    assert main([*fill, "--engine", "litert"]) == 2
    error_line(capsys)
    assert main(["accuracy"]) == 2
    assert "BUNDLE" in error_line(capsys)
    assert main(["acuracy"]) == 2
    assert "No such command 'acuracy'" in error_line(capsys)


def test_help_lists_the_commands_without_importing_them() -> None:
    script = """
import sys
from bertmobile_bench.cli import main
for arguments in (["--help"], ["accuracy", "--help"]):
    assert main(arguments) == 0
print(*sorted({"torch", "transformers", "scipy", "numpy"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "\n"
    assert all(name in done.stdout for name in COMMANDS) and "--masks-per-text" in done.stdout
