"""Answers as aligned plain text for people; machines get JSON."""

from collections.abc import Sequence
from typing import Any


def lines(answer: Any) -> list[str]:
    """Lines of a task's answer: one for each dictionary, its values in columns.

    Lists of lists (several masks) are set apart by an empty line; an array shows its shape.
    """
    if hasattr(answer, "shape"):
        return [f"{answer.dtype} {list(answer.shape)}; --json prints the values, --embed one vector"]
    if isinstance(answer, dict):
        answer = [answer]
    if not answer:
        return ["(nothing found)"]
    if isinstance(answer[0], list):
        blocks = [[*_table(rows), ""] for rows in answer]
        return [line for block in blocks for line in block][:-1]
    return _table(answer)


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    cells = [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    # A line break in an answer must not break the table.
    return " ".join(str(value).split())
