"""A bundle and its reference, asked the same, and answering through the same code."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from bertmobile import Model
from bertmobile.errors import ParityError, UsageError
from bertmobile.tasks import Context
from bertmobile.tokenization import Encoded, Tokenization, TruncationWarning
from bertmobile_bench.accuracy.reference import Source
from bertmobile_export.threads import one_thread_each

T = TypeVar("T")
E = TypeVar("E")
A = TypeVar("A")

WORKERS = min(os.cpu_count() or 1, 8)
# Few enough that an interrupted run ends soon.
_IN_FLIGHT = 8 * WORKERS


@dataclass(frozen=True)
class Both:
    """Two models, and the bundle's tokenizer, whose tokens both of them read.

    Attributes:
        model: the bundle.
        source: the reference.
        tokenization: the bundle's.
        progress: called with the number of answers done and their total.
    """

    model: Model
    source: Source
    tokenization: Tokenization
    progress: Callable[[int, int], None]

    def encode(self, text: str, pair: str | None, place: str) -> Encoded:
        """Tokens of a text or a pair, cut to the bundle's longest length.

        Raises:
            UsageError: a text is not valid Unicode.
            ParityError: the bundle's tokens are not those of the reference's tokenizer.
        """
        with at(place), quiet():
            encoded = self.tokenization.encode(text, pair)
        expected = self.source.model.token_ids(text, pair, self.tokenization.longest)
        require_same_tokens(encoded.ids, expected, place)
        return encoded

    def cut(self, texts: Iterable[tuple[str, str | None, str]]) -> int:
        """How many texts (or pairs, each with its place) are cut; raises what :meth:`encode` raises."""
        return sum(self.encode(text, pair, place).dropped > 0 for text, pair, place in texts)

    def check(self, place: str, *texts: str) -> None:
        """Check the tokens of texts that the runtime reads in windows, and does not cut.

        Raises:
            UsageError: a text is not valid Unicode.
            ParityError: the bundle's tokens are not those of the reference's tokenizer.
        """
        for text in texts:
            with at(place):
                ids = self.tokenization.token_ids(text)
            expected = self.source.model.tokenizer(text, add_special_tokens=False)["input_ids"]
            require_same_tokens(ids, expected, place)

    def ask(
        self, task: Callable[[Context], T], answer: Callable[[T, E], A], examples: Sequence[E]
    ) -> list[tuple[A, A]]:
        """What both models answer to all examples, the reference first.

        The runtime makes the answers of both: only what runs the model is another.

        Args:
            task: the runtime's, such as ``QuestionAnswering``.
            answer: asks it about an example.
        """
        manifest = self.model.manifest
        reference, bundle = (
            task(Context(manifest, self.tokenization, run)) for run in (self.source.run, self.model.run)
        )
        answers = []
        with quiet():
            for pair in side_by_side(lambda e: (answer(reference, e), answer(bundle, e)), examples):
                answers.append(pair)
                self.progress(len(answers), len(examples))
        return answers


def require_same_tokens(ids: list[int], expected: list[int], place: str) -> None:
    """Raises ParityError: two models that read other tokens cannot be compared."""
    if ids != expected:
        raise ParityError(
            f"the bundle's tokens of {place} are not those of the reference's tokenizer; "
            "compare it with the checkpoint that it was made from"
        )


@contextmanager
def at(place: str) -> Iterator[None]:
    """Says where in the data it was that a text could not be used."""
    try:
        yield
    except UsageError as failure:
        raise UsageError(f"{place} of the data: {failure}") from failure


@contextmanager
def quiet() -> Iterator[None]:
    """Without a warning for each text that is cut: they are counted instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        yield


def side_by_side(function: Callable[[E], A], items: Sequence[E]) -> Iterator[A]:
    """``function`` of each item, in order, several at once: one model computes while the other one does."""
    with one_thread_each(), ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(items), _IN_FLIGHT):
            yield from pool.map(function, items[start : start + _IN_FLIGHT])
