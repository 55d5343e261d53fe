"""Answers as aligned plain text for people; machines get JSON."""

from collections.abc import Sequence
from typing import Any


def lines(answer: Any) -> list[str]:
    """Lines of a task's answer: one for each dictionary, its values in columns.

    Labels of a zero-shot classification are a line each. Lists of lists (several masks) are set apart by an
    empty line; states of tokens show their number and size.
    """
    if isinstance(answer, dict):
        if "labels" in answer:
            return _table(
                [dict(enumerate(pair)) for pair in zip(answer["labels"], answer["scores"], strict=True)]
            )
        answer = [answer]
    if not answer:
        return ["(nothing found)"]
    if isinstance(answer[0], list):
        if isinstance(answer[0][0], list):
            tokens, size = len(answer[0]), len(answer[0][0])
            return [f"{tokens} tokens, {size} numbers each; --json prints them, --embed one vector"]
        blocks = [[*_table(rows), ""] for rows in answer]
        return [line for block in blocks for line in block][:-1]
    return _table(answer)


def _table(rows: Sequence[dict[Any, Any]]) -> list[str]:
    cells = [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    # A line break in an answer must not break the table.
    return " ".join(str(value).split())
