"""Reads documents of the schema ``results``."""

import json
import math
import unicodedata
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bertmobile.errors import UsageError

SCHEMA_VERSION = 1
SUFFIXES = (".json", ".jsonl")


def read_results(path: Path) -> list[dict[str, Any]]:
    """The documents of a file: one of a ``.json``, one of each line of a ``.jsonl``.

    A ``.jsonl`` whose last line was cut off, as an interrupted run leaves it, is read up to there, with a
    warning. Texts come without control characters and with single spaces, so that no name can break a
    table or a drawing.

    Raises:
        UsageError: the file cannot be read, or something in it is no results document; names file, line
            and cause.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} has the suffix {suffix or '(none)'}; results are {' or '.join(SUFFIXES)}")
    try:
        content = path.read_bytes()
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    if suffix == ".json":
        return [_document(_parse(content, str(path)), str(path))]
    documents = list(_lines(content, path))
    if not documents:
        raise UsageError(f"{path} has no results in it; measure again")
    return documents


def created(document: dict[str, Any]) -> datetime:
    """When a document was made, in UTC.

    Raises:
        ValueError: what it says is no time.
    """
    moment = datetime.fromisoformat(document["created"])
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _lines(content: bytes, path: Path) -> Iterator[dict[str, Any]]:
    # Not splitlines(), which also splits at characters that JSON may have within a text.
    *whole, rest = content.split(b"\n")
    for number, line in enumerate(whole, start=1):
        if line.strip():
            place = f"{path}, line {number}"
            yield _document(_parse(line, place), place)
    if rest.strip():
        place = f"{path}, line {len(whole) + 1}"
        try:
            last = _parse(rest, place)
        except UsageError:
            warnings.warn(f"{place} is cut off and left out; the run was interrupted", stacklevel=2)
        else:
            yield _document(last, place)


def _parse(content: bytes, place: str) -> Any:
    try:
        value = json.loads(content.decode("utf-8"), parse_float=_finite, parse_constant=_finite)
        # What escapes spell may be half a character, which no file can hold.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as failure:
        raise UsageError(f"{place} is not JSON: {failure}") from failure
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def _document(value: Any, place: str) -> dict[str, Any]:
    from fastjsonschema import JsonSchemaValueException

    from bertmobile_bench.schemas import validate

    version = value.get("schema_version") if isinstance(value, dict) else None
    if version is None:
        raise UsageError(f"{place} is not a results document; make one with bertmobile-bench host --json")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{place} has schema version {version}, and this bertmobile reads {SCHEMA_VERSION}; measure again"
        )
    try:
        validate(value, "results")
        created(value)
    except (JsonSchemaValueException, ValueError) as failure:
        raise UsageError(f"{place} is not a results document: {failure}") from failure
    document: dict[str, Any] = printable(value)
    names = [bundle["name"] for bundle in document["bundles"]]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{place} has two bundles called {name}, so its results could be of either")
    return document


def printable(value: Any) -> Any:
    """A value with texts that have no control or format characters, and single spaces."""
    if isinstance(value, dict):
        return {key: printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [printable(each) for each in value]
    if isinstance(value, str):
        # Unicode's categories of what does not print begin with C.
        shown = (each for each in value if each.isspace() or unicodedata.category(each)[0] != "C")
        return " ".join("".join(shown).split())
    return value
