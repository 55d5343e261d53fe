"""The tokenizer of a checkpoint, reduced to what every runtime implements: BERT's rules over one vocabulary.

Which files count, and which of two that disagree, follows ``transformers.AutoTokenizer``: the vocabulary
from ``tokenizer.json`` where there is one, the rules from ``tokenizer_config.json``. Only a checkpoint that
declares the generic tokenizer class takes its rules from ``tokenizer.json`` too. The result is written afresh
rather than copied, so that truncation, padding and version drift of the source do not reach the bundle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from bertmobile.errors import CheckpointError
from bertmobile.manifest import SpecialToken, TokenizerSpec
from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.checkpoint.files import read_json

ROLES = ("unk", "sep", "pad", "cls", "mask")

# transformers loads these as its BertTokenizer (or a subclass that changes nothing).
_BERT_CLASSES = (None, "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer")
# And these as whatever tokenizer.json describes.
_GENERIC_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend")

_LONGEST_WORD = 100  # WordPiece's own limit, fixed in the runtimes: a longer word is unknown.


@dataclass(frozen=True)
class TokenizerFiles:
    """The tokenizer as a bundle carries it.

    ``vocab_txt`` holds one token a line in id order, UTF-8; ``tokenizer_json`` the same tokenizer for the
    ``tokenizers`` library, with neither truncation nor padding.
    """

    spec: TokenizerSpec
    vocab_txt: bytes
    tokenizer_json: bytes


@dataclass(frozen=True)
class _Rules:
    """The settings that vary between BERT tokenizers; accents follow ``lower_case`` where None."""

    lower_case: bool
    strip_accents: bool | None
    tokenize_chinese_chars: bool

    @classmethod
    def checked(
        cls, lower_case: object, strip_accents: object, tokenize_chinese_chars: object, source: Path
    ) -> "_Rules":
        if (
            isinstance(lower_case, bool)
            and (strip_accents is None or isinstance(strip_accents, bool))
            and isinstance(tokenize_chinese_chars, bool)
        ):
            return cls(lower_case, strip_accents, tokenize_chinese_chars)
        raise CheckpointError(
            f"{source}: lower-casing, accents and Chinese characters must be true or false; "
            "restore the file from its source"
        )


def read_tokenizer(folder: Path, config: ModelConfig) -> TokenizerFiles:
    """Read ``vocab.txt`` or ``tokenizer.json`` with their settings.

    Raises:
        CheckpointError: no vocabulary, one that is damaged or larger than the embedding table, a missing
            special token, or a tokenizer that does more than BERT's.
    """
    settings = _optional_json(folder / "tokenizer_config.json")
    path = folder / "tokenizer.json"
    original = _read_tokenizer_json(path) if path.is_file() else None
    tokens = _special_tokens(folder, settings)
    vocabulary = _read_vocab_txt(folder) if original is None else _vocabulary(original, tokens, path)
    if _is_generic(folder, settings) and original is not None:
        rules = _rules(original, tokens, path)
    else:
        rules = _Rules.checked(
            settings.get("do_lower_case", True),
            settings.get("strip_accents"),
            settings.get("tokenize_chinese_chars", True),
            folder / "tokenizer_config.json",
        )
    _reject_added_tokens(folder, settings, original, tokens)
    if len(vocabulary) > config.vocab_size:
        raise CheckpointError(
            f"{folder} has {len(vocabulary)} tokens in its vocabulary but only {config.vocab_size} rows of "
            "embeddings (vocab_size in config.json); use the tokenizer that belongs to these weights"
        )
    special = {}
    for role, token in tokens.items():
        if token not in vocabulary:
            raise CheckpointError(
                f"{folder}: the {role} token {token!r} is not in the vocabulary; "
                f"name the right one as {role}_token in tokenizer_config.json"
            )
        special[role] = SpecialToken(token, vocabulary[token])
    spec = TokenizerSpec(
        vocab_size=len(vocabulary),
        # Lower-casing first, as sentence-transformers does, comes to the same as lower-casing with the rest;
        # only that accents then follow what the tokenizer itself does.
        lower_case=rules.lower_case or config.lower_case_text,
        strip_accents=rules.lower_case if rules.strip_accents is None else rules.strip_accents,
        tokenize_chinese_chars=rules.tokenize_chinese_chars,
        type_vocab_size=config.type_vocab_size,
        special_tokens=special,
    )
    vocab_txt = "".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.__getitem__))
    return TokenizerFiles(spec, vocab_txt.encode(), _build_tokenizer(spec, vocabulary).to_str().encode())


def _build_tokenizer(spec: TokenizerSpec, vocabulary: Mapping[str, int]) -> Tokenizer:
    """BERT's tokenizer for a vocabulary (token to id, from 0 without gaps)."""
    special = spec.special_tokens
    tokenizer = Tokenizer(
        WordPiece(dict(vocabulary), unk_token=special["unk"].token, max_input_chars_per_word=_LONGEST_WORD)
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
    ordered = sorted(special.values(), key=lambda token: token.id)
    tokenizer.add_special_tokens(
        [AddedToken(token.token, special=True, normalized=False) for token in ordered]
    )
    return tokenizer


def _optional_json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _read_tokenizer_json(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as failure:  # the library raises nothing more specific
        raise CheckpointError(f"{path} is damaged ({failure}); restore it from its source") from failure
    if not isinstance(tokenizer.model, WordPiece):
        raise CheckpointError(
            f"{path}: its model is {type(tokenizer.model).__name__}, but BERT's tokenizer is WordPiece; "
            "use the tokenizer that belongs to this checkpoint"
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _content(token: object) -> str | None:
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _special_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    # transformers reads the older file only where the newer way of saving left no trace.
    older = "added_tokens_decoder" not in settings
    overrides = _optional_json(folder / "special_tokens_map.json") if older else {}
    tokens = {}
    for role in ROLES:
        named = _content(overrides.get(f"{role}_token")) or _content(settings.get(f"{role}_token"))
        tokens[role] = named or f"[{role.upper()}]"
    return tokens


def _read_vocab_txt(folder: Path) -> dict[str, int]:
    path = folder / "vocab.txt"
    try:
        data = path.read_bytes()
    except FileNotFoundError as failure:
        raise CheckpointError(
            f"{folder} has no vocabulary: neither vocab.txt nor tokenizer.json; "
            "copy the tokenizer that belongs to this checkpoint into it"
        ) from failure
    try:
        lines = data.decode().rstrip("\r\n").split("\n")
    except UnicodeDecodeError as failure:
        number = data.count(b"\n", 0, failure.start) + 1
        raise CheckpointError(
            f"{path} line {number} is not UTF-8; restore the file from its source"
        ) from failure
    vocabulary: dict[str, int] = {}
    for index, line in enumerate(lines):
        # Like the tokenizers library, except for a token that is itself white space: no text yields it.
        token = line.rstrip() or line.rstrip("\r")
        if not token:
            raise CheckpointError(f"{path} line {index + 1} is empty; restore the file from its source")
        if token in vocabulary:
            raise CheckpointError(
                f"{path} line {index + 1} repeats {token!r} of line {vocabulary[token] + 1}; "
                "restore the file from its source"
            )
        vocabulary[token] = index
    return vocabulary


def _vocabulary(tokenizer: Tokenizer, tokens: Mapping[str, str], path: Path) -> dict[str, int]:
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    # Special tokens may be listed beside the model's vocabulary instead of in it.
    for index, added in tokenizer.get_added_tokens_decoder().items():
        if added.content in tokens.values():
            vocabulary.setdefault(added.content, index)
    if not vocabulary or sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise CheckpointError(
            f"{path}: its vocabulary does not number {len(vocabulary)} tokens from 0 without gaps or "
            "repeats; save the tokenizer again with the tokenizers library"
        )
    for token, index in vocabulary.items():
        if not token or "\n" in token or "\r" in token:
            raise CheckpointError(
                f"{path}: token {index} ({token!r}) does not fit on a line of vocab.txt; "
                "use the tokenizer that belongs to this checkpoint"
            )
    return vocabulary


def _is_generic(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the checkpoint declares the class that takes its rules from ``tokenizer.json``."""
    declared = settings.get("tokenizer_class") or read_json(folder / "config.json").get("tokenizer_class")
    name = declared.removesuffix("Fast") if isinstance(declared, str) else None
    if name in _GENERIC_CLASSES:
        return True
    if name not in _BERT_CLASSES:
        raise CheckpointError(
            f"{folder}: tokenizer_class {declared} is not BERT's WordPiece tokenizer, the only one that the "
            "runtimes implement; choose a checkpoint that uses BertTokenizer"
        )
    return False


def _rules(tokenizer: Tokenizer, tokens: Mapping[str, str], path: Path) -> _Rules:
    """The rules of a tokenizer that says what it does, once nothing in it goes beyond BERT's."""
    model, normalizer = tokenizer.model, tokenizer.normalizer
    is_bert = isinstance(normalizer, normalizers.BertNormalizer)
    pair = tokenizer.encode("", "")
    template = [tokens["cls"], tokens["sep"], tokens["sep"]]
    differences = {
        "its normalizer is not BertNormalizer": not is_bert,
        "its normalizer keeps control characters": is_bert and not normalizer.clean_text,
        "its pre_tokenizer is not BertPreTokenizer": not isinstance(
            tokenizer.pre_tokenizer, pre_tokenizers.BertPreTokenizer
        ),
        "its subword prefix is not ##": model.continuing_subword_prefix != "##",
        f"its longest word is not {_LONGEST_WORD}": model.max_input_chars_per_word != _LONGEST_WORD,
        f"its unknown token is not {tokens['unk']}": model.unk_token != tokens["unk"],
        f"its template is not {tokens['cls']} A {tokens['sep']} B {tokens['sep']}": (
            (pair.tokens, pair.type_ids) != (template, [0, 0, 1])
        ),
    }
    for difference, found in differences.items():
        if found:
            raise CheckpointError(
                f"{path}: {difference}, which the runtimes do not implement; "
                "choose a checkpoint that uses BertTokenizer"
            )
    return _Rules.checked(
        normalizer.lowercase, normalizer.strip_accents, normalizer.handle_chinese_chars, path
    )


def _reject_added_tokens(
    folder: Path, settings: Mapping[str, Any], original: Tokenizer | None, tokens: Mapping[str, str]
) -> None:
    """Refuse tokens matched in the raw text beside the five special ones: the runtimes have no such rule."""
    declared: list[object] = [*_optional_json(folder / "added_tokens.json")]
    declared += (settings.get("added_tokens_decoder") or {}).values()
    if original is not None:
        declared += (added.content for added in original.get_added_tokens_decoder().values())
    for source in (settings, _optional_json(folder / "special_tokens_map.json")):
        declared += (value for name, value in source.items() if name.endswith("_token"))
        for name in ("additional_special_tokens", "extra_special_tokens"):
            more = source.get(name) or ()
            declared += more.values() if isinstance(more, Mapping) else more
    extra = sorted({token for token in map(_content, declared) if token} - set(tokens.values()))
    if extra:
        raise CheckpointError(
            f"{folder}: the tokenizer adds tokens of its own ({', '.join(map(repr, extra[:3]))}) to "
            "BERT's five special ones, which the runtimes do not implement; remove them from its files if "
            "your texts never contain them"
        )
