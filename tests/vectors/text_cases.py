"""Texts to tokens, pairs and windows to a model's inputs, and tokens back to text."""

import warnings
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

from tokenizers import Tokenizer

from bertmobile.errors import UsageError
from bertmobile.manifest import TokenizerSpec
from bertmobile.tokenization import Encoded, TruncationWarning
from tests.vectors import strings
from tests.vectors.tokenizers import RULES, WITH_ADDED, manifest_of, tokenization

Tokenizers = dict[str, tuple[TokenizerSpec, Tokenizer]]


@cache
def all_texts() -> list[tuple[str, str]]:
    """(rules, text) of the cases of single texts."""
    random = Random(2)
    names = list(RULES)
    cases = [(name, text) for text in strings.HAND_WRITTEN for name in (*names[:4], random.choice(names[4:]))]
    for number, text in enumerate(strings.covering()):
        cases += [("uncased", text), (names[number % len(names)], text)]
    cases += [(random.choice(names), text) for text in strings.pages(random)]
    cases += [(random.choice(names), strings.wild(random)) for _ in range(450)]
    cases += [
        (name, text) for name in WITH_ADDED for text in (*strings.HAND_WRITTEN[-3:], *_of_parts(random))
    ]
    return cases


def _of_parts(random: Random) -> list[str]:
    return ["".join(random.choices(strings.ADDED_PARTS, k=12)) for _ in range(8)]


def texts(tokenizers: Tokenizers) -> Iterator[dict[str, Any]]:
    """Tokens of a text, without special tokens: ids, offsets (start and end by turns), words."""
    for name, text in all_texts():
        encoding = tokenizers[name][1].encode(text, add_special_tokens=False)
        yield {
            "rules": name,
            "text": text,
            "ids": encoding.ids,
            "offsets": _flat(encoding.offsets),
            "words": encoding.word_ids,
        }


def inputs(tokenizers: Tokenizers) -> Iterator[dict[str, Any]]:
    """A text or a pair as the inputs of a run: cut, padded, with special tokens."""
    random = Random(3)
    for number in range(300):
        name = random.choice(("uncased", "uncased", "cased", "renamed"))
        lengths = random.choice(([8], [8, 16, 32], [16, 64], [3, 5]))
        text = _any_text(random)
        pair = random.choice((None, "", _any_text(random), _any_text(random)))
        segments = random.choice((1, 2, 2))
        fields = {"lengths": lengths, "type_vocab_size": segments, "dynamic": number % 5 == 0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            encoded = _tokenization(tokenizers, name, **fields).encode(text, pair)
        yield {"rules": name, **fields, "text": text, "pair": pair, "encoded": _document(encoded)}


def windows(tokenizers: Tokenizers) -> Iterator[dict[str, Any]]:
    """A question with each part of a long context; or that it is refused."""
    random = Random(4)
    for _ in range(120):
        name = random.choice(("uncased", "cased"))
        lengths = random.choice(([16], [8, 16, 32], [16, 64]))
        question, context = strings.sentence(random, random.randrange(1, 9)), _any_text(random)
        stride = random.choice((None, None, 0, 1, 3, 7))
        case = {"rules": name, "lengths": lengths, "question": question, "context": context, "stride": stride}
        try:
            found = _tokenization(tokenizers, name, lengths=lengths).windows(question, context, stride)
        except UsageError:
            yield {**case, "refused": True}
        else:
            yield {**case, "windows": [_document(window) for window in found]}


def refused(tokenizers: Tokenizers) -> Iterator[dict[str, Any]]:
    """Texts with lone surrogates, which are no Unicode."""
    for text in strings.REFUSED:
        try:
            _tokenization(tokenizers, "uncased", lengths=[8]).encode(text)
        except UsageError:
            yield {"rules": "uncased", "text": text}


def decoded(tokenizers: Tokenizers) -> Iterator[dict[str, Any]]:
    """Token ids as text."""
    random = Random(5)
    size = tokenizers["uncased"][0].vocab_size
    for _ in range(200):
        # Most from the small vocabulary, which comes first; some that no token has.
        ids = [
            random.randrange(random.choice((150, 150, 150, size + 9))) for _ in range(random.randrange(12))
        ]
        name = random.choice(("uncased", "renamed", "added"))
        skip = random.random() < 0.5
        spec, tokenizer = tokenizers[name]
        text = tokenization(manifest_of("fill-mask", spec), tokenizer).decode(ids, skip_special_tokens=skip)
        yield {"rules": name, "ids": ids, "skip_special_tokens": skip, "text": text}


def _any_text(random: Random) -> str:
    kind = random.randrange(10)
    if kind == 0:
        return random.choice(strings.HAND_WRITTEN)
    return strings.wild(random) if kind < 4 else strings.sentence(random, random.choice((1, 4, 12, 40)))


def _tokenization(tokenizers: Tokenizers, name: str, *, dynamic: bool = False, **fields: Any) -> Any:
    spec, tokenizer = tokenizers[name]
    return tokenization(manifest_of("text-classification", spec, dynamic=dynamic, **fields), tokenizer)


def _document(encoded: Encoded) -> dict[str, Any]:
    return {
        "inputs": {name: array[0].tolist() for name, array in encoded.inputs.items()},
        "offsets": _flat(encoded.offsets),
        "special": encoded.special_tokens_mask,
        "texts": encoded.sequence_ids,
        "words": encoded.word_ids,
        "dropped": encoded.dropped,
    }


def _flat(offsets: list[tuple[int, int]]) -> list[int]:
    return [place for pair in offsets for place in pair]


KINDS = (texts, inputs, windows, refused, decoded)
