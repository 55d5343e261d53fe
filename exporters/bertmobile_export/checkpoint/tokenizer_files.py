"""The files that a checkpoint's tokenizer is in, and the tokenizer that transformers makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.files import read_json

# transformers loads these as its BertTokenizer (or a subclass that changes nothing): the vocabulary from
# tokenizer.json where there is one, the rules from tokenizer_config.json.
_BERT_CLASSES = (None, "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer")
# And these as whatever tokenizer.json describes.
_GENERIC_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend")
_FLAGS = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}


@dataclass(frozen=True)
class Loaded:
    """A tokenizer as transformers has it.

    Attributes:
        backend: what it splits text with; neither truncates nor pads.
        roles: ``cls``, ``mask`` and the like to the token that has the role, where one has.
        file: what its rules come from, for messages.
        original: ``tokenizer.json`` as the ``tokenizers`` library reads it, where transformers takes only a
            part of it.
    """

    backend: Tokenizer
    roles: Mapping[str, str]
    file: Path
    original: Tokenizer | None


def load_tokenizer(folder: Path) -> Loaded:
    """Load a tokenizer with transformers.

    Raises:
        CheckpointError: no vocabulary, a damaged file, another class than BERT's, or a setting that no
            runtime knows.
    """
    path = folder / "tokenizer.json"
    settings_path = folder / "tokenizer_config.json"
    settings = read_json(settings_path) if settings_path.is_file() else {}
    _check_settings(settings, settings_path)
    original = _read_tokenizer_json(path) if path.is_file() else None
    generic = _is_generic(folder, settings) and original is not None
    if original is None:
        _check_vocab_txt(folder)
    for name in ("added_tokens.json", "special_tokens_map.json"):
        if (folder / name).is_file():
            read_json(folder / name)
    backend, roles = _load(folder, generic)
    return Loaded(backend, roles, path if generic else settings_path, None if generic else original)


def _load(folder: Path, generic: bool) -> tuple[Tokenizer, dict[str, str]]:
    import transformers
    from transformers.utils import logging

    logging.set_verbosity_error()
    kind = transformers.PreTrainedTokenizerFast if generic else transformers.BertTokenizer
    try:
        tokenizer: Any = kind.from_pretrained(folder, local_files_only=True)
    except Exception as failure:  # whatever its code meets in the files
        raise CheckpointError(
            f"transformers cannot load the tokenizer of {folder} ({failure}); "
            "restore its files from their source"
        ) from failure
    backend: Tokenizer = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    named = {name.removesuffix("_token"): token for name, token in tokenizer.special_tokens_map.items()}
    return backend, {role: str(token) for role, token in named.items() if isinstance(token, str)}


def _check_settings(settings: Mapping[str, Any], path: Path) -> None:
    for name, optional in _FLAGS.items():
        value = settings.get(name)
        if name in settings and not isinstance(value, bool) and not (optional and value is None):
            raise CheckpointError(
                f"{path}: {name} must be true or false, not {value!r}; restore the file from its source"
            )
    if settings.get("split_special_tokens"):
        raise CheckpointError(
            f"{path}: split_special_tokens takes special tokens apart like other words, which the runtimes "
            "do not implement; remove the setting"
        )


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


def _check_vocab_txt(folder: Path) -> None:
    path = folder / "vocab.txt"
    try:
        data = path.read_bytes()
    except FileNotFoundError as failure:
        raise CheckpointError(
            f"{folder} has no vocabulary: neither vocab.txt nor tokenizer.json; "
            "copy the tokenizer that belongs to this checkpoint into it"
        ) from failure
    try:
        data.decode()
    except UnicodeDecodeError as failure:
        number = data.count(b"\n", 0, failure.start) + 1
        raise CheckpointError(
            f"{path} line {number} is not UTF-8; restore the file from its source"
        ) from failure


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
