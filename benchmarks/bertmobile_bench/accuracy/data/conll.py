"""Sentences as words with a tag each."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from bertmobile.errors import UsageError
from bertmobile_bench.accuracy.data.files import (
    JSON_LINES,
    DataSet,
    Format,
    Row,
    Rows,
    lines_of,
    read_examples,
)
from bertmobile_bench.accuracy.data.labels import Reader

# What Hugging Face's copies of the CoNLL data call the tags comes last.
_TAGS = ("tags", "ner_tags")


@dataclass(frozen=True)
class Sentence:
    """Words, and for each an index into the model's labels; ``line`` is that of the first word."""

    line: int
    words: tuple[str, ...]
    tags: tuple[int, ...]

    @property
    def place(self) -> str:
        return f"line {self.line}"

    @property
    def text(self) -> str:
        return " ".join(self.words)


def read_sentences(path: Path, tag: Reader[int], *, limit: int | None = None) -> DataSet[Sentence]:
    """Read tagged sentences: columns as in the shared tasks of CoNLL, or JSON objects.

    ``.conll`` and ``.txt``: a word a line, its tag in the last of the columns, which spaces or tabs
    separate; a blank line ends a sentence, and a line that begins with -DOCSTART- is passed over
    (https://aclanthology.org/W03-0419). ``.jsonl``: ``{"tokens": [...], "tags": [...]}``.

    Args:
        path: UTF-8, with or without a byte order mark.
        tag: reads a tag.
        limit: take only so many, spread evenly over the file.

    Raises:
        UsageError: the file or a line of it cannot be used; names the file, the line and the remedy.
    """

    def sentence(row: Row, line: int, place: str) -> Sentence:
        words, tags = row.get("tokens"), next((row[name] for name in _TAGS if name in row), None)
        for name, values in (("tokens", words), ("tags", tags)):
            if not isinstance(values, list) or not values:
                raise UsageError(f"{place} has no list of {name}; write {_OBJECT}")
        assert words is not None and tags is not None
        if len(words) != len(tags):
            raise UsageError(f"{place} has {len(words)} tokens and {len(tags)} tags; give each token one tag")
        for word in words:
            if not isinstance(word, str) or not word.strip():
                raise UsageError(f"{place}: a token must be a word, not {json.dumps(word)[:40]}; remove it")
        return Sentence(line, tuple(words), tuple(tag(value, place) for value in tags))

    return read_examples(path, _FORMATS, sentence, limit=limit)


_OBJECT = '{"tokens": ["Ada", "sleeps"], "tags": ["B-PER", "O"]}'


def _columns(content: str, path: Path) -> Rows:
    first, words, tags = 0, list[str](), list[str]()
    for number, line in [*lines_of(content), (0, "")]:
        cells = re.split(r"[ \t]+", line.strip(" \t"))
        if cells == [""] or cells[0] == "-DOCSTART-":
            if words:
                yield first, {"tokens": words, "tags": tags}
            words, tags = [], []
            continue
        if len(cells) < 2:
            raise UsageError(
                f"{path} line {number} has one column; give a word and its tag, with a space or a tab between"
            )
        first = first if words else number
        words.append(cells[0])
        tags.append(cells[-1])


_COLUMNS = Format("a word and its tag a line, a blank line between sentences", _columns)
_FORMATS = {".conll": _COLUMNS, ".txt": _COLUMNS, ".jsonl": JSON_LINES}
