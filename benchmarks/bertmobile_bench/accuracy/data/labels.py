"""What is told about an example: one of the model's labels, or a number."""

import json
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from bertmobile.errors import UsageError

L = TypeVar("L")

Reader = Callable[[object, str], L]
"""From a value of the data, and its place for messages."""


def one_of(labels: Sequence[str], kind: str = "label") -> Reader[int]:
    """Reads an index into ``labels`` from one of them, or from its number, counted from 0."""
    known = f"the model has {', '.join(labels)} (or 0 to {len(labels) - 1})"

    def read(value: object, place: str) -> int:
        # Labels may be digits themselves: a name comes before a number, in every kind of file.
        if not isinstance(value, bool) and str(value).strip() in labels:
            return labels.index(str(value).strip())
        if isinstance(value, int) and not isinstance(value, bool):
            index = value
        elif isinstance(value, str) and value.strip().isdecimal():
            index = int(value)
        else:
            raise UsageError(f"{place}: unknown {kind} {json.dumps(value)[:60]}; {known}")
        if not 0 <= index < len(labels):
            raise UsageError(f"{place}: {kind} {index} is outside of the model's {kind}s; {known}")
        return index

    return read


def number(value: object, place: str) -> float:
    """Reads a finite number."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise UsageError(f"{place}: the label must be a number, not {json.dumps(value)[:60]}")
    return found
