"""Files of texts: their three forms, and a line of cause and remedy for what is wrong."""

import hashlib
import json
from pathlib import Path

import pytest

from bertmobile import UsageError
from bertmobile_bench.accuracy.data import Example, read_data
from tests.messages import error_of

LABELS = ("bad", "good", "2")


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_tsv_has_a_header_and_no_quoting(tmp_path: Path) -> None:
    content = '\ufefflabel\tsource\ttext\ngood\tx\tA "fine" day\r\n\nbad\ty\t"Rain\u2028again\n'
    data = read_data(write(tmp_path, "d.tsv", content), LABELS)
    assert data.examples == (
        Example(2, 'A "fine" day', None, 1),
        Example(4, '"Rain\u2028again', None, 0),
    )
    assert data.lines == 2 and data.sha256 == hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.parametrize("name", ["pair", "text_pair"])
def test_a_second_text_has_two_names(tmp_path: Path, name: str) -> None:
    rows = [{"text": "a", name: "b", "label": "good"}, {"text": "a", "label": 0}]
    tsv = f"text\t{name}\tlabel\na\tb\tgood\na\t\t0\n"
    for path in (
        write(tmp_path, "d.jsonl", "".join(json.dumps(row) + "\n" for row in rows)),
        write(tmp_path, "d.tsv", tsv),
    ):
        assert [(e.pair, e.label) for e in read_data(path, LABELS).examples] == [("b", 1), (None, 0)]


def test_texts_alone_are_a_line_each(tmp_path: Path) -> None:
    for name, content in (
        ("d.txt", "One text.\n\nAnother\ttext.\n"),
        ("d.jsonl", '{"text": "One text."}\n\n{"text": "Another\\ttext.", "label": "?"}\n'),
    ):
        data = read_data(write(tmp_path, name, content), None)
        assert data.examples == (Example(1, "One text."), Example(3, "Another\ttext."))


def test_a_label_that_is_a_number_may_be_a_name(tmp_path: Path) -> None:
    path = write(tmp_path, "d.jsonl", '{"text": "a", "label": "2"}\n{"text": "a", "label": 1}\n')
    assert [example.label for example in read_data(path, LABELS).examples] == [2, 1]


def test_a_limit_takes_texts_from_the_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path, "d.txt", "".join(f"text {i}\n" for i in range(100)))
    data = read_data(path, None, limit=4)
    assert [example.line for example in data.examples] == [1, 26, 51, 76] and data.lines == 100
    assert len(read_data(path, None, limit=1000).examples) == 100


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.tsv", None, ["cannot be read: No such file"]),
        ("d.csv", "text,label\n", ["suffix .csv", ".tsv", ".jsonl", ".txt"]),
        ("d", "text", ["suffix (none)"]),
        ("d.txt", "a text\n", ["has no labels"]),
        ("d.tsv", "", ["holds no text"]),
        ("d.tsv", "text\tlabel\n\n", ["holds no text"]),
        ("d.jsonl", "\n", ["holds no text"]),
        ("d.tsv", b"text\tlabel\ncaf\xe9\tgood\n", ["not UTF-8 (byte 14)", "convert it"]),
        ("d.tsv", "A good film\t1\n", ["no column text", "text<TAB>label", "A good film"]),
        ("d.tsv", "text\nA good film\n", ["line 2 has no label", "add a column"]),
        ("d.tsv", "text\tlabel\na\tb\tgood\n", ["line 2 has 3 columns and the header 2", "tabs"]),
        ("d.tsv", "text\tlabel\na\tgreat\n", ['line 2: unknown label "great"', "bad, good, 2 (or 0 to 2)"]),
        ("d.tsv", "text\tlabel\na\t3\n", ["line 2: label 3 is outside", "bad, good, 2 (or 0 to 2)"]),
        ("d.tsv", "text\tlabel\n \tgood\n", ["line 2 has no text"]),
        ("d.jsonl", '{"text": "a", "label": -1}\n', ["line 1: label -1 is outside"]),
        ("d.jsonl", '{"text": "a", "label": true}\n', ["unknown label true"]),
        ("d.jsonl", '{"text": "a", "label": null}\n', ["unknown label null"]),
        ("d.jsonl", '{"text": 3, "label": 1}\n', ["line 1 has no text"]),
        ("d.jsonl", '{"text": "a", "pair": 3, "label": 1}\n', ["line 1: the pair must be a string, not 3"]),
        ("d.jsonl", "{text}\n", ["line 1 is not JSON", "one object a line"]),
        ("d.jsonl", '["a"]\n', ["line 1 is no JSON object"]),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(
    tmp_path: Path, name: str, content: str | bytes | None, words: list[str]
) -> None:
    path = tmp_path / name if content is None else write(tmp_path, name, content)
    message = error_of(UsageError, read_data, path, LABELS)
    assert message.startswith(str(path)) and all(word in message for word in words), message
