"""What all files of examples share: UTF-8, a suffix that says how to read, and a choice of examples."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from bertmobile.errors import UsageError

E = TypeVar("E")

Row = dict[str, Any]
Rows = Iterator[tuple[int, Row]]


@dataclass(frozen=True)
class DataSet(Generic[E]):
    """The chosen examples of a file; a user's texts are only ever recorded as this hash and count."""

    examples: tuple[E, ...]
    sha256: str
    lines: int


@dataclass(frozen=True)
class Format:
    """One way to write examples.

    Attributes:
        form: what such a file looks like, for messages.
        rows: from the content, and the path for messages, to the fields of each example, numbered from 1.
        counted: what the numbers count.
    """

    form: str
    rows: Callable[[str, Path], Rows]
    counted: str = "line"


def read_examples(
    path: Path,
    formats: Mapping[str, Format],
    example: Callable[[Row, int, str], E],
    *,
    limit: int | None = None,
) -> DataSet[E]:
    """Read a file whose suffix says how.

    Args:
        path: UTF-8, with or without a byte order mark.
        formats: by suffix.
        example: makes an example of its fields, its number, and its place for messages.
        limit: take only so many, spread evenly over the file.

    Raises:
        UsageError: the file or a part of it cannot be used; names the file, the place and the remedy.
    """
    suffix = path.suffix.lower()
    if suffix not in formats:
        known = ", ".join(f"{name} ({format.form})" for name, format in formats.items())
        raise UsageError(f"{path} has the suffix {suffix or '(none)'}; name it {known}")
    form = formats[suffix]
    content = _content(path)
    rows = list(form.rows(content.decode("utf-8-sig"), path))
    if not rows:
        raise UsageError(f"{path} holds no example; it must be {form.form}")
    count = min(limit or len(rows), len(rows))
    chosen = [rows[i * len(rows) // count] for i in range(count)]
    examples = tuple(example(row, number, f"{path} {form.counted} {number}") for number, row in chosen)
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


def lines_of(content: str) -> Iterator[tuple[int, str]]:
    """All lines with their numbers, without their ends; empty ones too."""
    # Not splitlines(): that would also cut at separators inside a text, such as U+2028.
    for number, line in enumerate(content.split("\n"), start=1):
        yield number, line.removesuffix("\r")


def texts_of(content: str) -> Iterator[tuple[int, str]]:
    """The lines that hold more than space."""
    return ((number, line) for number, line in lines_of(content) if line.strip())


def json_lines(content: str, path: Path) -> Rows:
    """The object of each line that is not empty."""
    for number, line in texts_of(content):
        try:
            row = json.loads(line)
        except ValueError as failure:
            raise UsageError(
                f"{path} line {number} is not JSON ({failure}); give one object a line"
            ) from failure
        if not isinstance(row, dict):
            raise UsageError(f'{path} line {number} is no JSON object; write it as {{"text": "..."}}')
        yield number, row


JSON_LINES = Format("a JSON object a line", json_lines)
