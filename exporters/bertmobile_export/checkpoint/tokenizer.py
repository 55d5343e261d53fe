"""The tokenizer of a checkpoint, reduced to what every runtime implements: BERT's rules over one vocabulary.

transformers itself loads it, because which of a checkpoint's files count is a matter of its code alone. What
it then does is written afresh rather than copied, so that truncation, padding and version drift of the source
do not reach the bundle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from bertmobile.errors import CheckpointError
from bertmobile.manifest import AddedToken, SpecialToken, TokenizerSpec
from bertmobile_export.checkpoint.added_tokens import (
    check_added_tokens,
    check_contents,
    read_added_tokens,
)
from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.checkpoint.tokenizer_files import load_tokenizer
from bertmobile_export.checkpoint.tokenizer_rules import Rules, check_rules, dropped_rules, overridden_rules

ROLES = ("unk", "sep", "pad", "cls", "mask")


@dataclass(frozen=True)
class TokenizerFiles:
    """The tokenizer as a bundle carries it.

    ``vocab_txt`` holds WordPiece's tokens, one a line in id order, UTF-8; ``tokenizer_json`` the whole
    tokenizer for the ``tokenizers`` library, with neither truncation nor padding; ``notes`` what its user
    should know.
    """

    spec: TokenizerSpec
    vocab_txt: bytes
    tokenizer_json: bytes
    notes: tuple[str, ...] = ()


def read_tokenizer(folder: Path, config: ModelConfig) -> TokenizerFiles:
    """Read the tokenizer that transformers makes of a checkpoint's files.

    Raises:
        CheckpointError: no vocabulary, one that is damaged or larger than the embedding table, a missing
            special token, a tokenizer that does more than BERT's, or a ``tokenizer.json`` with rules that
            its class does not follow.
    """
    loaded = load_tokenizer(folder)
    source = loaded.backend
    tokens = {role: loaded.roles.get(role) or f"[{role.upper()}]" for role in ROLES}
    special = _special_tokens(source, tokens, config, folder)
    template = [tokens["cls"], tokens["sep"], tokens["sep"]]
    rules = Rules.of(source)
    check_rules(source, tokens["unk"], template, loaded.file)
    added = read_added_tokens(source)
    notes: tuple[str, ...] = ()
    if loaded.original is not None:
        dropped_rules(loaded.original, source, tokens["unk"], template, folder)
        notes = overridden_rules(loaded.original, rules, folder)
    vocabulary = source.get_vocab(with_added_tokens=False)
    lines = _lines(vocabulary, config, folder)
    check_added_tokens(added, config, folder)
    check_contents(added, source, folder)
    spec = TokenizerSpec(
        vocab_size=len(lines),
        # Lower-casing first, as sentence-transformers does, comes to the same as lower-casing with the rest;
        # only that accents then follow what the tokenizer itself does.
        lower_case=rules.lower_case or config.lower_case_text,
        strip_accents=rules.strip_accents,
        tokenize_chinese_chars=rules.tokenize_chinese_chars,
        longest_word=rules.longest_word,
        type_vocab_size=config.type_vocab_size,
        special_tokens=special,
        added_tokens=added,
    )
    built = build_tokenizer(spec, {token: index for token, index in vocabulary.items() if index < len(lines)})
    if config.lower_case_text:
        source.normalizer = normalizers.Sequence([normalizers.Lowercase(), source.normalizer])
    _check_alike(built, source, added, folder)
    vocab_txt = "".join(f"{line}\n" for line in lines)
    return TokenizerFiles(spec, vocab_txt.encode(), built.to_str().encode(), notes)


def build_tokenizer(spec: TokenizerSpec, vocabulary: Mapping[str, int]) -> Tokenizer:
    """The tokenizer that a manifest describes, for WordPiece's vocabulary (token to id)."""
    special = spec.special_tokens
    tokenizer = Tokenizer(
        WordPiece(
            dict(vocabulary),
            unk_token=special["unk"].token,
            max_input_chars_per_word=spec.longest_word,
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=spec.tokenize_chinese_chars,
        strip_accents=spec.strip_accents,
        lowercase=spec.lower_case,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    cls, sep = special["cls"], special["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[f"{cls.token}:0", "$A:0", f"{sep.token}:0"],
        pair=[f"{cls.token}:0", "$A:0", f"{sep.token}:0", "$B:1", f"{sep.token}:1"],
        special_tokens=[(cls.token, cls.id), (sep.token, sep.id)],
    )
    tokenizer.add_tokens([_library_token(token) for token in spec.added_tokens])
    return tokenizer


def _special_tokens(
    source: Tokenizer, tokens: Mapping[str, str], config: ModelConfig, folder: Path
) -> dict[str, SpecialToken]:
    special = {}
    for role, token in tokens.items():
        # WordPiece itself gives the unknown token; the others may be added beside its vocabulary.
        index = (source.model if role == "unk" else source).token_to_id(token)
        if index is None or index >= config.vocab_size:
            raise CheckpointError(
                f"{folder}: the {role} token {token!r} is not in the vocabulary; "
                f"name the right one as {role}_token in tokenizer_config.json"
            )
        special[role] = SpecialToken(token, index)
    return special


def _library_token(token: AddedToken) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(
        token.content,
        special=token.special,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        single_word=token.single_word,
        normalized=token.normalized,
    )


def _lines(vocabulary: Mapping[str, int], config: ModelConfig, folder: Path) -> list[str]:
    """The lines of ``vocab.txt``: the token of each id.

    Of a repeated line the last counts, to every reader of such a file. So an id that no token has, as the
    earlier line of a repeated one, is written as a token that comes later.
    """
    by_id = {index: token for token, index in vocabulary.items()}
    # No text yields an empty token: one beyond the table, from an empty line at the end of a file, is none.
    while by_id and max(by_id) >= config.vocab_size and by_id[max(by_id)] == "":
        del by_id[max(by_id)]
    if not by_id:
        raise CheckpointError(f"{folder} has an empty vocabulary; restore its files from their source")
    count = max(by_id) + 1
    if count > config.vocab_size:
        raise CheckpointError(
            f"{folder} has {count} tokens in its vocabulary but only {config.vocab_size} rows of "
            "embeddings (vocab_size in config.json); use the tokenizer that belongs to these weights"
        )
    lines: list[str] = []
    for index in range(count - 1, -1, -1):
        token = by_id.get(index, lines[-1] if lines else "")
        if "\n" in token or "\r" in token:
            raise CheckpointError(
                f"{folder}: token {index} ({token!r}) does not fit on a line of vocab.txt; "
                "use the tokenizer that belongs to this checkpoint"
            )
        lines.append(token)
    return lines[::-1]


def _check_alike(built: Tokenizer, source: Tokenizer, added: tuple[AddedToken, ...], folder: Path) -> None:
    """Refuse added tokens of which transformers' order of adding them decides what they are."""
    for token in added:
        texts = (token.content, f"a{token.content}b {token.content} c", f"{token.content}.")
        if built.token_to_id(token.content) != token.id or any(
            _ids(built, text) != _ids(source, text) for text in texts
        ):
            raise CheckpointError(
                f"{folder}: its files declare the added token {token.content!r} more than once, or two "
                "tokens for one text, and what counts depends on their order; declare each once, in "
                "added_tokens_decoder of tokenizer_config.json"
            )


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids
