"""Texts and pairs of texts, with labels where the task has them."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from bertmobile.errors import UsageError
from bertmobile_bench.accuracy.data.files import (
    JSON_LINES,
    DataSet,
    Format,
    Row,
    Rows,
    read_examples,
    texts_of,
)
from bertmobile_bench.accuracy.data.labels import Reader


@dataclass(frozen=True)
class Example:
    """One text, or a pair, and where it stands; ``label`` is an index of the model's labels, or a number."""

    line: int
    text: str
    pair: str | None = None
    label: float | None = None

    @property
    def place(self) -> str:
        return f"line {self.line}"


@dataclass(frozen=True)
class Layout:
    """Names of columns (or fields); ``of`` is the data set that has them."""

    of: str
    text: str
    pair: str | None
    label: str

    def fits(self, names: Iterable[str], *, label: bool) -> bool:
        needed = {self.text} | ({self.pair} if self.pair else set()) | ({self.label} if label else set())
        return needed <= set(names)


def read_texts(
    path: Path, label: Reader[float] | None, *, pairs: bool = False, limit: int | None = None
) -> DataSet[Example]:
    """Read a file of texts: ``.tsv``, ``.jsonl``, or ``.txt`` where no labels are needed.

    A TSV has a header that names its columns and no quoting: a quotation mark is part of the text. The names
    may be ``text``, ``pair`` (or ``text_pair``) and ``label``, or those of a data set of GLUE
    (https://gluebenchmark.com/tasks); see ``layouts.json``. Other columns are passed over, and so are empty
    lines.

    Args:
        path: UTF-8, with or without a byte order mark.
        label: reads a label; None for a task without labels.
        pairs: each text needs a second one.
        limit: take only so many, spread evenly over the file.

    Raises:
        UsageError: the file or a line of it cannot be used; names the file, the line and the remedy.
    """

    def example(row: Row, line: int, place: str) -> Example:
        present = tuple(name for name, value in row.items() if value is not None)
        layout = _layout(present) or _layouts()[0]
        text = row.get(layout.text)
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"{place} has no text; give one, or remove the line")
        pair = row.get(layout.pair) if layout.pair else None
        if pair is not None and not isinstance(pair, str):
            raise UsageError(f"{place}: the pair must be a string, not {json.dumps(pair)[:40]}")
        if pairs and not pair:
            raise UsageError(f"{place} has no second text; add a column (or field) pair")
        if label is None:
            return Example(line, text, pair or None)
        if layout.label not in row:
            raise UsageError(
                f"{place} has no label; give a .tsv or .jsonl file with a column (or field) {layout.label}"
            )
        return Example(line, text, pair or None, label(row[layout.label], place))

    return read_examples(path, _FORMATS, example, limit=limit)


@cache
def _table() -> Any:
    text = resources.files(__name__.rpartition(".")[0]).joinpath("layouts.json").read_text("utf-8")
    return json.loads(text)


@cache
def _layouts() -> tuple[Layout, ...]:
    return tuple(Layout(**entry) for entry in _table()["columns"])


@cache
def _layout(names: tuple[str, ...]) -> Layout | None:
    """The first layout whose columns are all there, or else the first that only lacks its label."""
    for label in (True, False):
        for layout in _layouts():
            if layout.fits(names, label=label):
                return layout
    return None


def _plain(content: str, path: Path) -> Rows:
    for number, line in texts_of(content):
        yield number, {"text": line}


def _tsv(content: str, path: Path) -> Rows:
    lines = list(texts_of(content))
    if not lines:
        return
    names = _names_without_header(lines[0][1])
    if names is None:
        names = [name.strip() for name in lines.pop(0)[1].split("\t")]
    if _layout(tuple(names)) is None:
        raise UsageError(
            f"{path} has no column text; begin it with a header such as text<TAB>label, or with that of a "
            f"data set of GLUE (found: {', '.join(names)[:80]})"
        )
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != len(names):
            raise UsageError(
                f"{path} line {number} has {len(cells)} columns and the header {len(names)}; "
                "replace tabs inside texts by spaces"
            )
        yield number, dict(zip(names, cells, strict=True))


def _names_without_header(line: str) -> list[str] | None:
    """The columns of a file without a header, told from the form of its first line."""
    for entry in _table()["headerless"]:
        if re.fullmatch("\t".join(entry["columns"].values()), line):
            return list(entry["columns"])
    return None


_FORMATS = {
    ".tsv": Format("a header, then columns between tabs", _tsv),
    ".jsonl": JSON_LINES,
    ".txt": Format("a text a line", _plain),
}
