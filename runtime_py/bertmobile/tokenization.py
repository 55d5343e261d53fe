"""Text to the arrays of a bundle's model, and token ids back to text."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from bertmobile.errors import BundleError, UsageError
from bertmobile.manifest import Manifest

# The windows of a long context overlap by this many tokens, or by less where the buckets are small.
DEFAULT_STRIDE = 128


class TruncationWarning(UserWarning):
    """A text was longer than the bundle's longest bucket, and its end was dropped."""


@dataclass(frozen=True)
class Encoded:
    """One run's worth of tokens.

    ``inputs`` holds the model's arrays, [1, bucket], padded; every other sequence has one entry for each
    token without the padding.

    Attributes:
        text: the first text, as given, behind its prompt.
        pair: the second text, or None.
        inputs: ``input_ids``, ``attention_mask``, ``token_type_ids`` and ``pooling_mask``, those that the
            model has, in the manifest's integer types.
        ids: token ids.
        offsets: (start, end) of each token in its own text, in code points; (0, 0) for added tokens.
        special_tokens_mask: 1 for tokens that the tokenizer added, such as [CLS].
        sequence_ids: 0 or 1, the text that a token comes from; None for added tokens.
        word_ids: number of the word in its own text; None for added tokens.
        dropped: tokens that did not fit.
        begin: tokens of a long text that come before those of this window.
    """

    text: str
    pair: str | None
    inputs: dict[str, NDArray[Any]]
    ids: list[int]
    offsets: list[tuple[int, int]]
    special_tokens_mask: list[int]
    sequence_ids: list[int | None]
    word_ids: list[int | None]
    dropped: int = 0
    begin: int = 0

    def __len__(self) -> int:
        """Number of tokens without the padding."""
        return len(self.ids)


class Tokenization:
    """The tokenizer of a bundle, cut and padded to the bundle's buckets. Safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer, manifest: Manifest) -> None:
        """Take a tokenizer, whose own truncation and padding are switched off.

        Raises:
            BundleError: the tokenizer's special tokens are not the manifest's.
        """
        # Files often carry the settings of the training run (such as padding to 128).
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._lengths = manifest.lengths
        self._dynamic = manifest.dynamic
        self._dtypes = {spec.name: np.dtype(spec.dtype) for spec in manifest.inputs}
        self._pad_id = manifest.tokenizer.special_tokens["pad"].id
        self._one_segment = manifest.tokenizer.type_vocab_size == 1
        for special in manifest.tokenizer.special_tokens.values():
            if tokenizer.token_to_id(special.token) != special.id:
                raise BundleError(
                    f"tokenizer.json does not map {special.token} to {special.id} as the manifest says; "
                    "export the bundle again"
                )

    @classmethod
    def open(cls, folder: Path, manifest: Manifest) -> "Tokenization":
        """Read ``tokenizer.json`` of a bundle.

        Raises:
            BundleError: there is no such file, it cannot be read, or it does not fit the manifest.
        """
        path = folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as failure:  # the library raises a bare Exception for any damage
            raise BundleError(f"{path} cannot be read ({failure}); export the bundle again") from failure
        return cls(tokenizer, manifest)

    @property
    def longest(self) -> int:
        """The largest bucket, in tokens."""
        return self._lengths[-1]

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        prompt: str = "",
        max_length: int | None = None,
        keep_pair: bool = False,
    ) -> Encoded:
        """Tokens of a text or a pair in the smallest bucket that holds them.

        What does not fit the largest bucket is dropped from the end, of the longer text first, with a
        :class:`TruncationWarning`.

        Args:
            text: the text.
            pair: the second text.
            prompt: what is put before the text.
            max_length: a shorter limit than the largest bucket's, in tokens with the special ones.
            keep_pair: drop from the first text only.

        Raises:
            UsageError: not a string, a string that is not valid Unicode, or a second text that has to be
                kept and leaves no room.
        """
        before = 0
        if prompt:
            before = self._prompt_length(prompt)
            text = prompt + text if isinstance(text, str) else text
        longest = self.longest if max_length is None else min(max_length, self.longest)
        first = self._tokens(text)
        # An empty second text is no second text, as for the reference tokenizer.
        second = None if pair in (None, "") else self._tokens(pair)
        room = max(0, longest - self._tokenizer.num_special_tokens_to_add(second is not None))
        sizes = (len(first), 0 if second is None else len(second))
        dropped = max(0, sum(sizes) - room)
        if dropped:
            keep = (room - sizes[1], sizes[1]) if keep_pair else _longest_first(sizes, room)
            if keep[0] < min(1, room, sizes[0]):
                raise UsageError(
                    f"{pair!r} has {sizes[1]} tokens and leaves no room for the text in {longest}; "
                    "make it shorter, or export with a longer length"
                )
            warnings.warn(
                f"{sum(sizes) - dropped} of {sum(sizes)} tokens kept, {dropped} dropped from the end: "
                f"the longest input is {longest} tokens with the special ones",
                TruncationWarning,
                stacklevel=2,
            )
            first.truncate(keep[0])
            if second is not None:
                second.truncate(keep[1])
        return self._encoded(text, pair, first, second, dropped, prompt_length=before)

    def _prompt_length(self, prompt: str) -> int:
        """How many tokens of a text are its prompt's, [CLS] included.

        As sentence-transformers counts: those of the prompt by itself, whatever follows its last word.
        """
        added = self._tokenizer.num_special_tokens_to_add(False)
        return min(len(self._tokens(prompt)) + added, self.longest) - 1

    def windows(self, question: str, context: str, stride: int | None = None) -> list[Encoded]:
        """A question with each part of a context that may be too long for one run.

        Args:
            question: kept whole in every window.
            context: cut into windows when it does not fit the largest bucket.
            stride: tokens by which neighbouring windows overlap; by default 128, or less where there is
                little room.

        Returns:
            The windows in order; offsets refer to the whole context.

        Raises:
            UsageError: the question leaves no room for the context, the stride is negative or leaves no
                room for new tokens, or a text is not valid.
        """
        first, second = self._tokens(question), self._tokens(context)
        room = self.longest - self._tokenizer.num_special_tokens_to_add(True) - len(first)
        if room < 1:
            raise UsageError(
                f"the question has {len(first)} tokens and leaves no room for the context in "
                f"{self.longest}; ask a shorter question, or export with a longer length"
            )
        return [
            self._encoded(question, context, first, window, 0, begin)
            for begin, window in self._cut(second, room, stride, "doc_stride")
        ]

    def parts(
        self, text: str | list[str], *, stride: int | None = None, delimiter: str = " "
    ) -> list[Encoded]:
        """The parts of a text that may be too long for one run.

        Args:
            text: a text, or a list of its words, each of which becomes tokens alone.
            stride: as in :meth:`windows`.
            delimiter: what stands between words in the text that offsets refer to.

        Returns:
            The windows in order; offsets refer to the whole text.

        Raises:
            UsageError: the stride is negative or leaves no room for new tokens, or a text is not valid.
        """
        starts = None
        tokens = self._tokens(text, words=isinstance(text, list))
        if isinstance(text, list):
            starts = list(accumulate((len(word) + len(delimiter) for word in text), initial=0))
            text = delimiter.join(text)
        room = self.longest - self._tokenizer.num_special_tokens_to_add(False)
        windows = [
            self._encoded(text, None, window, None, 0, begin)
            for begin, window in self._cut(tokens, room, stride, "stride")
        ]
        return windows if starts is None else [_moved(window, starts) for window in windows]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Text of token ids."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def join(self, tokens: Sequence[str]) -> str:
        """Text of tokens, with the pieces of a word put together."""
        decoder = self._tokenizer.decoder
        text: str = " ".join(tokens) if decoder is None else decoder.decode(list(tokens))
        return text

    def token(self, token_id: int) -> str:
        """The token of an id, such as ``##ing``; an empty string for an id without one."""
        return self._tokenizer.id_to_token(token_id) or ""

    def token_id(self, token: str) -> int | None:
        """The id of exactly this token, or None."""
        token_id: int | None = self._tokenizer.token_to_id(token)
        return token_id

    def token_ids(self, text: str) -> list[int]:
        """Ids of a text, without special tokens and not cut.

        Raises:
            UsageError: not a string, or a string that is not valid Unicode.
        """
        ids: list[int] = self._tokens(text).ids
        return ids

    def _cut(
        self, tokens: Encoding, room: int, stride: int | None, option: str
    ) -> list[tuple[int, Encoding]]:
        """(tokens before it, window) for windows that fit the room."""
        if len(tokens) <= room:
            return [(0, tokens)]
        if stride is None:
            stride = min(DEFAULT_STRIDE, self.longest // 2)
            if stride >= room:
                stride = room // 2
        if not isinstance(stride, int) or not 0 <= stride < room:
            raise UsageError(
                f"{option} must be from 0 to {room - 1} (a window has room for {room} tokens of the text, of "
                f"{self.longest}), not {stride}"
            )
        tokens.truncate(room, stride=stride)
        return [(number * (room - stride), part) for number, part in enumerate([tokens, *tokens.overflowing])]

    def _tokens(self, text: Any, *, words: bool = False) -> Encoding:
        for part in text if words else [text]:
            if not isinstance(part, str):
                raise UsageError(f"a text must be a string, not {type(part).__name__}")
        try:
            return self._tokenizer.encode(text, is_pretokenized=words, add_special_tokens=False)
        except TypeError as failure:  # how the library refuses lone surrogates
            raise UsageError(
                "a text holds lone surrogates, which are not valid Unicode; remove them"
            ) from failure

    def _encoded(
        self,
        text: str,
        pair: str | None,
        first: Encoding,
        second: Encoding | None,
        dropped: int,
        begin: int = 0,
        prompt_length: int = 0,
    ) -> Encoded:
        tokens = self._tokenizer.post_process(first, second, True)
        length = len(tokens)
        bucket = length if self._dynamic else next(size for size in self._lengths if size >= length)
        segments = [0] * length if self._one_segment else tokens.type_ids
        rows = {
            "input_ids": (tokens.ids, self._pad_id),
            "attention_mask": ([1] * length, 0),
            "token_type_ids": (segments, 0),
            "pooling_mask": ([int(place >= prompt_length) for place in range(length)], 0),
        }
        inputs = {
            name: np.array([values + [padding] * (bucket - length)], dtype=self._dtypes[name])
            for name, (values, padding) in rows.items()
            if name in self._dtypes
        }
        return Encoded(
            text=text,
            pair=pair,
            inputs=inputs,
            ids=tokens.ids,
            offsets=tokens.offsets,
            special_tokens_mask=tokens.special_tokens_mask,
            sequence_ids=_sequence_ids(tokens.special_tokens_mask, len(first)),
            word_ids=tokens.word_ids,
            dropped=dropped,
            begin=begin,
        )


def _moved(window: Encoded, starts: Sequence[int]) -> Encoded:
    """Offsets in words as offsets in the text; ``starts`` has the place of each word."""
    offsets = [
        place if word is None else (place[0] + starts[word], place[1] + starts[word])
        for place, word in zip(window.offsets, window.word_ids, strict=True)
    ]
    return replace(window, offsets=offsets)


def _sequence_ids(special_tokens_mask: list[int], first: int) -> list[int | None]:
    """Which text each token is from; the library's own list is wrong after its post_process()."""
    ids: list[int | None] = []
    seen = 0
    for special in special_tokens_mask:
        ids.append(None if special else int(seen >= first))
        seen += not special
    return ids


def _longest_first(sizes: tuple[int, int], room: int) -> tuple[int, int]:
    """Cut the longer text down to the shorter one, then both alike (an odd token goes to the longer)."""
    short, long = sorted(sizes)
    if short + max(short, room - short) > room:
        short, long = room // 2, room - room // 2
    else:
        long = room - short
    return (long, short) if sizes[0] > sizes[1] else (short, long)
