"""Files of examples: their forms, and a line of cause and remedy for what is wrong."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertmobile import UsageError
from bertmobile_bench.accuracy.data.conll import Sentence, read_sentences
from bertmobile_bench.accuracy.data.labels import number, one_of
from bertmobile_bench.accuracy.data.squad import Question, read_questions
from bertmobile_bench.accuracy.data.texts import Example, _layouts, read_texts
from tests.messages import error_of

LABEL = one_of(("bad", "good", "2"))
TAG = one_of(("O", "B-PER", "I-PER"), "tag")

# One folder for all examples of a property: each writes its file anew.
property_of_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
# What a cell of a TSV may hold: anything but what ends it, and more than space.
cells = st.text(st.characters(exclude_characters="\t\n\r", codec="utf-8"), min_size=1).filter(str.strip)
words = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), min_size=1).filter(
    lambda word: not set(word) & set(" \t\n\r") and word.strip() and word != "-DOCSTART-"
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_tsv_has_a_header_and_no_quoting(tmp_path: Path) -> None:
    content = '\ufefflabel\tsource\ttext\ngood\tx\tA "fine" day\r\n\nbad\ty\t"Rain\u2028again\n'
    data = read_texts(write(tmp_path, "d.tsv", content), LABEL)
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
        assert [(e.pair, e.label) for e in read_texts(path, LABEL).examples] == [("b", 1), (None, 0)]


def test_texts_alone_are_a_line_each(tmp_path: Path) -> None:
    for name, content in (
        ("d.txt", "One text.\n\nAnother\ttext.\n"),
        ("d.jsonl", '{"text": "One text."}\n\n{"text": "Another\\ttext.", "label": "?"}\n'),
    ):
        data = read_texts(write(tmp_path, name, content), None)
        assert data.examples == (Example(1, "One text."), Example(3, "Another\ttext."))


def test_a_label_that_is_a_number_may_be_a_name(tmp_path: Path) -> None:
    path = write(tmp_path, "d.jsonl", '{"text": "a", "label": "2"}\n{"text": "a", "label": 1}\n')
    assert [example.label for example in read_texts(path, LABEL).examples] == [2, 1]


def test_a_limit_takes_texts_from_the_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path, "d.txt", "".join(f"text {i}\n" for i in range(100)))
    data = read_texts(path, None, limit=4)
    assert [example.line for example in data.examples] == [1, 26, 51, 76] and data.lines == 100
    assert len(read_texts(path, None, limit=1000).examples) == 100


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.tsv", None, ["cannot be read: No such file"]),
        ("d.csv", "text,label\n", ["suffix .csv", ".tsv", ".jsonl", ".txt"]),
        ("d", "text", ["suffix (none)"]),
        ("d.txt", "a text\n", ["line 1 has no label", ".tsv or .jsonl"]),
        ("d.tsv", "", ["holds no example"]),
        ("d.tsv", "text\tlabel\n\n", ["holds no example"]),
        ("d.jsonl", "\n", ["holds no example"]),
        ("d.tsv", b"text\tlabel\ncaf\xe9\tgood\n", ["not UTF-8 (byte 14)", "convert it"]),
        ("d.tsv", "A good film\t1\n", ["no column text", "text<TAB>label", "A good film"]),
        ("d.tsv", "text\nA good film\n", ["line 2 has no label", "a column (or field) label"]),
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
    message = error_of(UsageError, read_texts, path, LABEL)
    assert message.startswith(str(path)) and all(word in message for word in words), message


# --- files of GLUE


@pytest.mark.parametrize("layout", _layouts(), ids=lambda layout: f"{layout.of} {layout.pair}")
@property_of_files
@given(rows=st.lists(st.tuples(cells, cells, st.integers(0, 2)), min_size=1))
def test_a_tsv_of_any_layout_gives_back_what_was_written(
    layout: Any, rows: list[tuple[str, str, int]], tmp_path: Path
) -> None:
    names = [layout.label, "index", layout.text, *([layout.pair] if layout.pair else [])]
    lines = [[str(label), "7", a, *([b] if layout.pair else [])] for a, b, label in rows]
    content = "".join("\t".join(line) + "\n" for line in [names, *lines])
    found = read_texts(write(tmp_path, "d.tsv", content), LABEL).examples
    expected = [(a, b if layout.pair else None, label) for a, b, label in rows]
    assert [(e.text, e.pair, e.label) for e in found] == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("sentence\tlabel\na 'fine' \"day \t1\n", Example(2, "a 'fine' \"day ", None, 1)),
        (
            "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t702876\t702977\tHe said.\tShe said.\n",
            Example(2, "He said.", "She said.", 1),
        ),
        ("id\tquestion1\tquestion2\tis_duplicate\n5\tWhy?\tHow?\t0\n", Example(2, "Why?", "How?", 0)),
        (
            "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tOne.\tTwo.\tbad\tgood\n",
            Example(2, "One.", "Two.", 1),
        ),
        ("index\tquestion\tsentence\tlabel\n0\tWho?\tAda.\tgood\n", Example(2, "Who?", "Ada.", 1)),
        ("index\tsentence1\tsentence2\tlabel\n0\tOne.\tTwo.\t1\n", Example(2, "One.", "Two.", 1)),
        # CoLA has no header, and its mark may be empty.
        ("gj04\t1\t\tThey sang.\ngj04\t0\t*\tThey sangs.\n", Example(1, "They sang.", None, 1)),
    ],
    ids=["SST-2", "MRPC", "QQP", "MNLI", "QNLI", "RTE", "CoLA"],
)
def test_files_of_glue_are_read_as_they_are(tmp_path: Path, content: str, expected: Example) -> None:
    assert read_texts(write(tmp_path, "dev.tsv", content), LABEL).examples[0] == expected


def test_scores_are_numbers(tmp_path: Path) -> None:
    content = "index\tgenre\tsentence1\tsentence2\tscore\n0\tnews\tOne.\tTwo.\t3.250\n"
    assert read_texts(write(tmp_path, "d.tsv", content), number, pairs=True).examples == (
        Example(2, "One.", "Two.", 3.25),
    )
    for value in ("high", "nan", ""):
        path = write(tmp_path, "d.tsv", content.replace("3.250", value))
        message = error_of(UsageError, read_texts, path, number)
        assert "line 2: the label must be a number" in message and f'"{value}"' in message
    path = write(tmp_path, "d.tsv", "text\tlabel\nOne.\t1\n")
    message = error_of(UsageError, read_texts, path, number, pairs=True)
    assert "line 2 has no second text; add a column" in message


def test_a_file_of_glue_without_labels_says_which_column_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path, "test.tsv", "index\tquestion1\tquestion2\n0\tWhy?\tHow?\n")
    message = error_of(UsageError, read_texts, path, LABEL)
    assert "line 2 has no label" in message and "is_duplicate" in message


# --- tagged words


def test_columns_of_conll_are_words_and_their_last_tags(tmp_path: Path) -> None:
    content = """-DOCSTART- -X- -X- O

Ada NNP B-NP B-PER
Lovelace NNP I-NP I-PER
sleeps VBZ B-VP O

\t
Yes\tO\r
"""
    expected = (Sentence(3, ("Ada", "Lovelace", "sleeps"), (1, 2, 0)), Sentence(8, ("Yes",), (0,)))
    for name in ("d.conll", "d.txt"):
        data = read_sentences(write(tmp_path, name, content), TAG)
        assert data.examples == expected and data.lines == 2
    assert expected[0].text == "Ada Lovelace sleeps"


@property_of_files
@given(st.lists(st.lists(st.tuples(words, st.sampled_from(["O", "B-PER"])), min_size=1), min_size=1))
def test_both_forms_of_tagged_words_give_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, str]]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    columns = "\n".join("".join(f"{word} {tag}\n" for word, tag in sentence) for sentence in sentences)
    objects = "".join(
        json.dumps({"tokens": [w for w, _ in s], "tags": [t for _, t in s]}) + "\n" for s in sentences
    )
    expected = [(tuple(w for w, _ in s), tuple(int(t != "O") for _, t in s)) for s in sentences]
    for name, content in (("d.conll", columns), ("d.jsonl", objects)):
        found = read_sentences(write(folder, name, content), TAG).examples
        assert [(sentence.words, sentence.tags) for sentence in found] == expected


def test_tags_may_be_numbers_as_in_copies_of_the_conll_data(tmp_path: Path) -> None:
    path = write(tmp_path, "d.jsonl", '{"tokens": ["Ada", "sleeps"], "ner_tags": [1, 0]}\n')
    assert read_sentences(path, TAG).examples == (Sentence(1, ("Ada", "sleeps"), (1, 0)),)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.tsv", "Ada\tO\n", ["suffix .tsv", ".conll (a word and its tag a line"]),
        ("d.conll", "\n\n", ["holds no example"]),
        ("d.conll", b"caf\xe9 O\n", ["not UTF-8"]),
        ("d.conll", "Ada O\nsleeps\n", ["line 2 has one column", "a word and its tag"]),
        ("d.conll", "Ada B-DOG\n", ['line 1: unknown tag "B-DOG"', "the model has O, B-PER, I-PER"]),
        ("d.jsonl", '{"tokens": ["a"], "tags": []}\n', ["line 1 has no list of tags"]),
        ("d.jsonl", '{"text": "a", "tags": ["O"]}\n', ["line 1 has no list of tokens"]),
        ("d.jsonl", '{"tokens": ["a", "b"], "tags": ["O"]}\n', ["2 tokens and 1 tags", "one tag"]),
        ("d.jsonl", '{"tokens": ["a", " "], "tags": ["O", "O"]}\n', ["a token must be a word"]),
        ("d.jsonl", '{"tokens": ["a"], "tags": [7]}\n', ["tag 7 is outside of the model's tags"]),
    ],
)
def test_what_is_wrong_with_tagged_words_is_said_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, words: list[str]
) -> None:
    message = error_of(UsageError, read_sentences, write(tmp_path, name, content), TAG)
    assert all(word in message for word in words), message


# --- questions

CONTEXT = "It was written by Ada in the spring."


def squad(*questions: dict[str, Any]) -> str:
    return json.dumps({"version": "1.1", "data": [{"paragraphs": [{"context": CONTEXT, "qas": questions}]}]})


def test_questions_have_two_forms(tmp_path: Path) -> None:
    answers = [{"text": "Ada", "answer_start": 18}, {"text": "by Ada", "answer_start": 15}]
    content = squad({"id": "q7", "question": "By whom?", "answers": answers})
    data = read_questions(write(tmp_path, "dev-v1.1.json", content))
    assert data.examples == (Question("question q7", "By whom?", CONTEXT, ("Ada", "by Ada")),)
    for form in (answers, ["Ada", "by Ada"], {"text": ["Ada", "by Ada"], "answer_start": [18, 15]}):
        row = json.dumps({"question": "By whom?", "context": CONTEXT, "answers": form})
        (found,) = read_questions(write(tmp_path, "d.jsonl", row)).examples
        assert found == Question("line 1", "By whom?", CONTEXT, ("Ada", "by Ada"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.tsv", "", ["suffix .tsv", ".json (an object in SQuAD's layout)", ".jsonl"]),
        ("d.json", "{", ["is not JSON", "SQuAD's file"]),
        ("d.json", '{"question": "Who?"}', ["is not in SQuAD's layout ('data')", ".jsonl"]),
        ("d.json", '{"data": [3]}', ["is not in SQuAD's layout"]),
        ("d.json", '{"data": []}', ["holds no example"]),
        ("d.json", squad({"question": "Who?", "answers": ["Eve"]}), ["question 1: the answer", "not in the"]),
        ("d.json", squad({"id": "q7", "question": "Who?", "answers": []}), ["question q7 has no answer"]),
        ("d.json", squad({"question": " ", "answers": ["Ada"]}), ["question 1 has no question"]),
        ("d.jsonl", '{"question": "Who?", "answers": ["Ada"]}', ["line 1 has no context"]),
        ("d.jsonl", '{"question": "Who?", "context": "Ada", "answers": [3]}', ["the answer 3 is not in"]),
    ],
)
def test_what_is_wrong_with_questions_is_said_in_one_line(
    tmp_path: Path, name: str, content: str, words: list[str]
) -> None:
    message = error_of(UsageError, read_questions, write(tmp_path, name, content))
    assert all(word in message for word in words), message
