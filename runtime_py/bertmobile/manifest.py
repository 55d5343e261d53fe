"""The manifest of a bundle as typed data (schemas/manifest.schema.json is the contract)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bertmobile.errors import BundleError
from bertmobile.schemas import validate

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
Verdict = Literal["pending", "passed", "failed"]


@dataclass(frozen=True)
class TensorSpec:
    """An input or output: ``shape`` holds sizes, ``"length"`` (the bucket) or ``"batch"``."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class SpecialToken:
    token: str
    id: int


@dataclass(frozen=True)
class AddedToken:
    """A token that is cut from a text whole, before WordPiece; the flags are those of ``tokenizers``."""

    content: str
    id: int
    special: bool
    lstrip: bool
    rstrip: bool
    single_word: bool
    normalized: bool


@dataclass(frozen=True)
class TokenizerSpec:
    vocab_size: int
    lower_case: bool
    strip_accents: bool
    tokenize_chinese_chars: bool
    longest_word: int
    type_vocab_size: int
    special_tokens: Mapping[str, SpecialToken]
    added_tokens: tuple[AddedToken, ...]


@dataclass(frozen=True)
class EmbeddingSpec:
    """Text vectors: their length, how they are pooled, and the prompts that texts may be given."""

    size: int
    pooling: tuple[str, ...]
    normalized: bool
    prompts: Mapping[str, str]
    default_prompt: str | None
    include_prompt: bool
    similarity: str | None

    @property
    def default_text(self) -> str:
        """What is put before a text unasked."""
        return "" if self.default_prompt is None else self.prompts.get(self.default_prompt, "")


@dataclass(frozen=True)
class Source:
    model: str
    revision: str | None
    architecture: str | None
    weights_sha256: str
    trained: bool


@dataclass(frozen=True)
class FileEntry:
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds; see the schema for the meaning of each field."""

    name: str
    target: str
    task: str
    recipe: Mapping[str, Any]
    options: Mapping[str, str | bool | int]
    model_file: str
    lengths: tuple[int, ...]
    signatures: Mapping[int, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    mask_slots: int | None
    labels: tuple[str, ...]
    problem_type: str | None
    function_to_apply: str | None
    embedding: EmbeddingSpec | None
    tokenizer: TokenizerSpec
    source: Source
    tools: Mapping[str, str]
    verdict: Verdict = "pending"
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @property
    def dynamic(self) -> bool:
        """Whether the model takes any batch and any length up to the longest, so that nothing is padded."""
        return "batch" in self.inputs[0].shape

    @property
    def model_bytes(self) -> int:
        """Size of the model file, or of all files of the package."""
        inside = self.model_file + "/"
        return sum(
            entry.bytes
            for path, entry in self.files.items()
            if path == self.model_file or path.startswith(inside)
        )

    def bucket(self, tokens: int) -> int:
        """The smallest of the lengths that holds so many tokens.

        Raises:
            StopIteration: none does.
        """
        return next(length for length in self.lengths if length >= tokens)

    def to_json(self) -> dict[str, Any]:
        """The manifest as a JSON document that fits the schema."""
        document = asdict(self)
        verdict = document.pop("verdict")
        return {
            "schema_version": SCHEMA_VERSION,
            **json.loads(json.dumps(document)),
            "parity": {"verdict": verdict},
        }

    @classmethod
    def from_json(cls, document: Any, *, source: str = MANIFEST) -> "Manifest":
        """Check and read a JSON document.

        Raises:
            BundleError: another schema version, or a document that does not fit the schema.
        """
        version = document.get("schema_version") if isinstance(document, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            raise BundleError(
                f"{source} has schema version {version}, this bertmobile reads {SCHEMA_VERSION}; "
                "export the bundle again, or install the bertmobile that wrote it"
            )
        validate(document, "manifest", source=source, error=BundleError)
        fields = {key: value for key, value in document.items() if key not in ("schema_version", "parity")}
        tokenizer = dict(fields["tokenizer"])
        tokenizer["special_tokens"] = {
            role: SpecialToken(**token) for role, token in tokenizer["special_tokens"].items()
        }
        tokenizer["added_tokens"] = tuple(AddedToken(**token) for token in tokenizer["added_tokens"])
        fields.update(
            lengths=tuple(fields["lengths"]),
            signatures={int(length): name for length, name in fields["signatures"].items()},
            inputs=_tensors(fields["inputs"]),
            outputs=_tensors(fields["outputs"]),
            labels=tuple(fields["labels"]),
            embedding=_embedding(fields["embedding"]),
            tokenizer=TokenizerSpec(**tokenizer),
            source=Source(**fields["source"]),
            files={path: FileEntry(**entry) for path, entry in fields["files"].items()},
            verdict=document["parity"]["verdict"],
        )
        return cls(**fields)


def _embedding(entry: dict[str, Any] | None) -> EmbeddingSpec | None:
    return None if entry is None else EmbeddingSpec(**{**entry, "pooling": tuple(entry["pooling"])})


def _tensors(entries: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(entry["name"], entry["dtype"], tuple(entry["shape"])) for entry in entries)


def read_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``.

    Raises:
        BundleError: no such folder or file, or not a valid manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST}; export one with bertmobile-export"
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as failure:
        raise BundleError(f"{path} is not valid JSON ({failure}); export the bundle again") from failure
    return Manifest.from_json(document, source=str(path))
