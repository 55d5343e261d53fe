"""Files of texts, with labels where the task has them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertmobile.errors import UsageError

_PAIR = ("pair", "text_pair")
_FORMATS = ".tsv (a header, then columns between tabs), .jsonl (a JSON object a line) or .txt (a text a line)"


@dataclass(frozen=True)
class Example:
    """One text, or a pair, and where it stands; ``label`` is an index into the model's labels."""

    line: int
    text: str
    pair: str | None = None
    label: int | None = None


@dataclass(frozen=True)
class DataSet:
    """The chosen examples of a file; a user's texts are only ever recorded as this hash and count."""

    examples: tuple[Example, ...]
    sha256: str
    lines: int


def read_data(path: Path, labels: Sequence[str] | None, *, limit: int | None = None) -> DataSet:
    """Read a file of texts; its suffix says how: ``.tsv``, ``.jsonl`` or ``.txt``.

    A TSV has a header that names its columns and no quoting: a quotation mark is part of the text. Known
    columns, and fields of a JSON object, are ``text``, ``pair`` (or ``text_pair``) and ``label``; others are
    passed over. A label is one of ``labels``, or the number of one, counted from 0. Empty lines are skipped.

    Args:
        path: UTF-8, with or without a byte order mark.
        labels: the model's labels, in order; None for a task without labels.
        limit: take only so many, spread evenly over the file.

    Raises:
        UsageError: the file or a line of it cannot be used; names the file, the line and the remedy.
    """
    readers: dict[str, Callable[[str, Path], Iterator[tuple[int, dict[str, object]]]]] = {
        ".tsv": _tsv,
        ".jsonl": _json_lines,
        ".txt": _plain,
    }
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise UsageError(f"{path} has the suffix {suffix or '(none)'}; name it {_FORMATS}")
    if labels is not None and suffix == ".txt":
        raise UsageError(f"{path} has no labels; give a .tsv or .jsonl file with text and label")
    content = _content(path)
    rows = list(readers[suffix](content.decode("utf-8-sig"), path))
    if not rows:
        raise UsageError(f"{path} holds no text; give a line for each text")
    count = min(limit or len(rows), len(rows))
    chosen = [rows[i * len(rows) // count] for i in range(count)]
    examples = tuple(_example(row, line, path, labels) for line, row in chosen)
    return DataSet(examples, hashlib.sha256(content).hexdigest(), len(rows))


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        content.decode("utf-8")
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    except UnicodeDecodeError as failure:
        raise UsageError(f"{path} is not UTF-8 (byte {failure.start}); convert it first") from failure
    return content


def _lines(content: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(): that would also cut at separators inside a text, such as U+2028.
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def _plain(content: str, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in _lines(content):
        yield number, {"text": line}


def _tsv(content: str, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    lines = _lines(content)
    header = [name.strip() for name in next(lines, (0, "text"))[1].split("\t")]
    if "text" not in header:
        raise UsageError(
            f"{path} has no column text; begin it with a header such as text<TAB>label (found: "
            f"{', '.join(header)[:80]})"
        )
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != len(header):
            raise UsageError(
                f"{path} line {number} has {len(cells)} columns and the header {len(header)}; "
                "replace tabs inside texts by spaces"
            )
        yield number, dict(zip(header, cells, strict=True))


def _json_lines(content: str, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in _lines(content):
        try:
            row = json.loads(line)
        except ValueError as failure:
            raise UsageError(
                f"{path} line {number} is not JSON ({failure}); give one object a line"
            ) from failure
        if not isinstance(row, dict):
            raise UsageError(f'{path} line {number} is no JSON object; write it as {{"text": "..."}}')
        yield number, row


def _example(row: dict[str, object], line: int, path: Path, labels: Sequence[str] | None) -> Example:
    place = f"{path} line {line}"
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"{place} has no text; give one, or remove the line")
    pair = next((row[name] for name in _PAIR if row.get(name) is not None), None)
    if pair is not None and not isinstance(pair, str):
        raise UsageError(f"{place}: the pair must be a string, not {json.dumps(pair)[:40]}")
    label = None if labels is None else _label(row, labels, place)
    return Example(line, text, pair or None, label)


def _label(row: dict[str, object], labels: Sequence[str], place: str) -> int:
    if "label" not in row:
        raise UsageError(f"{place} has no label; add a column (or field) label")
    label = row["label"]
    if isinstance(label, str) and label.strip() in labels:
        return labels.index(label.strip())
    known = f"the model has {', '.join(labels)} (or 0 to {len(labels) - 1})"
    if isinstance(label, int) and not isinstance(label, bool):
        index = label
    elif isinstance(label, str) and label.strip().isdecimal():
        index = int(label)
    else:
        raise UsageError(f"{place}: unknown label {json.dumps(label)[:60]}; {known}")
    if not 0 <= index < len(labels):
        raise UsageError(f"{place}: label {index} is outside of the model's labels; {known}")
    return index
