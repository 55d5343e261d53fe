"""Texts as both models see them: the very same token ids."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from bertmobile import Model
from bertmobile.errors import ParityError, UsageError
from bertmobile.tokenization import Encoded, TruncationWarning
from bertmobile_bench.accuracy.data import Example
from bertmobile_bench.accuracy.reference import Ids, Source
from bertmobile_export.threads import one_thread_each

T = TypeVar("T")
R = TypeVar("R")

WORKERS = min(os.cpu_count() or 1, 8)
# Few enough that an interrupted run ends soon.
_IN_FLIGHT = 8 * WORKERS


@dataclass(frozen=True)
class Text:
    """An example as tokens, cut to the bundle's longest length; ``types`` are the segments."""

    example: Example
    encoded: Encoded
    ids: Ids
    types: Ids

    @property
    def truncated(self) -> bool:
        return self.encoded.dropped > 0


def tokenize(model: Model, source: Source, examples: Sequence[Example]) -> list[Text]:
    """Tokens of all examples.

    Raises:
        UsageError: a text is not valid Unicode.
        ParityError: the bundle's tokens of a text are not those of the reference's tokenizer.
    """
    texts = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # counted instead
        for example in examples:
            try:
                encoded = model.encode(example.text, example.pair)
            except UsageError as failure:
                raise UsageError(f"line {example.line} of the data: {failure}") from failure
            expected = source.model.token_ids(example.text, example.pair, model.manifest.lengths[-1])
            if encoded.ids != expected:
                raise ParityError(
                    f"the bundle's tokens of line {example.line} are not those of the reference's tokenizer; "
                    "compare it with the checkpoint that it was made from"
                )
            types = encoded.inputs["token_type_ids"][0, : len(encoded)]
            texts.append(Text(example, encoded, tuple(encoded.ids), tuple(types.tolist())))
    return texts


def side_by_side(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """``function`` of each item, in order, several at once: one model computes while the other one does."""
    with one_thread_each(), ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(items), _IN_FLIGHT):
            yield from pool.map(function, items[start : start + _IN_FLIGHT])
