"""What a tokenizer does beside its vocabulary: BERT's rules, or more than these.

``tokenizer.json`` and the class that a checkpoint names may disagree. Then transformers follows the class,
while the ``tokenizers`` library, JavaScript and Swift follow the file, and nobody knows which of the two the
model was trained with: what only the file says is refused. Lower-casing, accents and Chinese characters are
another matter, because transformers has always taken these from ``tokenizer_config.json``.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.added_tokens import read_added_tokens

_PREFIX = "##"
# Words of any vocabulary, or unknown ones.
_FIRST, _SECOND = "a b", "c"


@dataclass(frozen=True)
class Rules:
    """The settings that vary between BERT's tokenizers."""

    lower_case: bool
    strip_accents: bool
    tokenize_chinese_chars: bool
    longest_word: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Rules":
        """Of a tokenizer; those of its normalizer mean nothing where that is not BERT's."""
        normalizer = _only(tokenizer.normalizer)
        if not isinstance(normalizer, normalizers.BertNormalizer):
            return cls(False, False, False, tokenizer.model.max_input_chars_per_word)
        accents = normalizer.strip_accents
        return cls(
            lower_case=normalizer.lowercase,
            strip_accents=normalizer.lowercase if accents is None else accents,
            tokenize_chinese_chars=normalizer.handle_chinese_chars,
            longest_word=tokenizer.model.max_input_chars_per_word,
        )


def check_rules(tokenizer: Tokenizer, unknown: str, template: Sequence[str], path: Path) -> None:
    """Refuse a tokenizer that does more than the runtimes.

    Args:
        tokenizer: as it splits text.
        unknown: the unknown token.
        template: the tokens around two texts.
        path: the file that says so.

    Raises:
        CheckpointError: names what it does.
    """
    for difference in _differences(tokenizer, unknown, template):
        raise CheckpointError(
            f"{path}: {difference}, which the runtimes do not implement; "
            "choose a checkpoint that uses BertTokenizer"
        )


def dropped_rules(
    original: Tokenizer, used: Tokenizer, unknown: str, template: Sequence[str], folder: Path
) -> None:
    """Refuse a ``tokenizer.json`` that says more than transformers takes from it.

    Args:
        original: the file as the ``tokenizers`` library reads it.
        used: the tokenizer that transformers makes of it.
        unknown, template: as in :func:`check_rules`.
        folder: the checkpoint's.

    Raises:
        CheckpointError: names the rule, and how to say which of the two is meant.
    """
    differences = [*_differences(original, unknown, template)]
    longest = original.model.max_input_chars_per_word
    if longest != used.model.max_input_chars_per_word:
        differences.append(f"its longest word is {longest}, not {used.model.max_input_chars_per_word}")
    kept = read_added_tokens(used)
    differences += [
        f"its added token {token.content!r} is missing there, or has another id or other flags"
        for token in read_added_tokens(original)
        if token not in kept
    ]
    for difference in differences:
        raise CheckpointError(
            f"{folder / 'tokenizer.json'}: {difference}: transformers drops this for the tokenizer_class "
            "BertTokenizer, and other libraries follow it. Say which is meant: to keep what transformers "
            "does, write the file again with AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER); "
            "to keep the file, set tokenizer_class to PreTrainedTokenizerFast in tokenizer_config.json"
        )


def overridden_rules(original: Tokenizer, used: Rules, folder: Path) -> tuple[str, ...]:
    """Notes on settings of ``tokenizer.json`` that every transformers has taken from elsewhere."""
    said = Rules.of(original)
    names = {
        "lower_case": ("lowercase", "do_lower_case"),
        "strip_accents": ("strip_accents", "strip_accents"),
        "tokenize_chinese_chars": ("handle_chinese_chars", "tokenize_chinese_chars"),
    }
    return tuple(
        f"{folder / 'tokenizer.json'} has {theirs} {_json(getattr(said, name))}, but {ours} is "
        f"{_json(getattr(used, name))} by tokenizer_config.json (or by default), which counts in "
        "transformers and here; correct one of the two if that is not meant"
        for name, (theirs, ours) in names.items()
        if getattr(said, name) != getattr(used, name)
    )


def _json(value: bool) -> str:
    return json.dumps(value)


def _differences(tokenizer: Tokenizer, unknown: str, template: Sequence[str]) -> Iterator[str]:
    """What a tokenizer does otherwise than BERT's."""
    model, normalizer = tokenizer.model, _only(tokenizer.normalizer)
    pre_tokenizer, decoder = _only(tokenizer.pre_tokenizer), tokenizer.decoder
    if not isinstance(normalizer, normalizers.BertNormalizer):
        yield "its normalizer is not BertNormalizer alone"
    elif not normalizer.clean_text:
        yield "its normalizer keeps control characters"
    if not isinstance(pre_tokenizer, pre_tokenizers.BertPreTokenizer):
        yield "its pre_tokenizer is not BertPreTokenizer alone"
    if model.continuing_subword_prefix != _PREFIX:
        yield f"its subword prefix is {model.continuing_subword_prefix!r}, not {_PREFIX}"
    if model.unk_token != unknown:
        yield f"its unknown token is {model.unk_token}, not {unknown}"
    if decoder is not None and not (
        isinstance(decoder, decoders.WordPiece) and decoder.prefix == _PREFIX and decoder.cleanup
    ):
        yield "its decoder is not that of WordPiece with cleanup"
    if not _has_template(tokenizer, template):
        cls, sep, _ = template
        yield f"its template is not {cls} A {sep} B {sep}"


def _has_template(tokenizer: Tokenizer, template: Sequence[str]) -> bool:
    first, second = (tokenizer.encode(text, add_special_tokens=False).tokens for text in (_FIRST, _SECOND))
    single, pair = tokenizer.encode(_FIRST), tokenizer.encode(_FIRST, _SECOND)
    cls, sep, _ = template
    around, more = [cls, *first, sep], [*second, sep]
    return bool(
        (single.tokens, single.type_ids) == (around, [0] * len(around))
        and (pair.tokens, pair.type_ids) == (around + more, [0] * len(around) + [1] * len(more))
    )


def _only(part: Any) -> Any:
    """The only member of a sequence of one; any other part as it is."""
    while isinstance(part, (normalizers.Sequence, pre_tokenizers.Sequence)):
        members = list(iter(part))
        if len(members) != 1:
            break
        part = members[0]
    return part
