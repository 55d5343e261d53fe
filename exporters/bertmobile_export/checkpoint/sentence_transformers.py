"""What a sentence-transformers folder says, as data: what is done to a text, and how its vector is made.

Files and keys mean what they mean to sentence-transformers 6 (https://sbert.net), under older names too. What
this package cannot express is refused by name. A folder without ``modules.json`` says nothing of all this,
whatever else lies in it: sentence-transformers then pools the encoder's states by the mean, and so do we.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.files import read_json

MODULES = "modules.json"
MODEL_CONFIG = "config_sentence_transformers.json"
# The first of these that is there and says anything counts.
ENCODER_CONFIGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)

PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]

# The spelling of releases before 6; several are concatenated in this order.
_POOLING_FLAGS: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# Classes of torch.nn, made without arguments.
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU")
# Names that every model has a prompt for, an empty one where nothing else is recorded.
_USUAL_PROMPTS = ("query", "document")
# What the encoder of each type of model computes: its task, and the output that the modules after it read.
_ENCODER_OUTPUTS = {
    "SentenceTransformer": ("feature-extraction", "last_hidden_state", "token_embeddings"),
    "CrossEncoder": ("sequence-classification", "logits", "scores"),
}
# Arguments for transformers that change no answer in float32.
_HARMLESS_ARGUMENTS = ("attn_implementation", "add_pooling_layer", "trust_remote_code")
_REMEDY = f"choose another checkpoint, or remove {MODULES} to export the encoder alone, pooled by the mean"


@dataclass(frozen=True)
class Pooling:
    """Token states to one vector: the results of all ``modes``, one behind the other.

    ``include_prompt`` is false where the tokens of a prompt are left out.
    """

    modes: tuple[PoolingMode, ...] = ("mean",)
    include_prompt: bool = True


@dataclass(frozen=True)
class Dense:
    """activation(linear(x)), plus x with ``residual``; a product of its own where the two sizes differ.

    ``folder`` holds its weights, as a path in the checkpoint; ``activation`` is a class of ``torch.nn``.
    """

    folder: str
    inputs: int
    outputs: int
    bias: bool = True
    activation: str = "Tanh"
    residual: bool = False

    @property
    def projects_residual(self) -> bool:
        return self.residual and self.inputs != self.outputs


@dataclass(frozen=True)
class Norm:
    """Layer normalisation of the vector; ``folder`` holds its weights."""

    folder: str
    size: int


@dataclass(frozen=True)
class Normalize:
    """The vector divided by its length."""


Step = Dense | Norm | Normalize


@dataclass(frozen=True)
class SentenceEmbedding:
    """How the vector of a text comes from the encoder's states.

    Attributes:
        pooling: the first step.
        steps: the others, in their order.
        truncate: how many numbers of the result are kept; None for all.
        prompts: what is put before a text, by name.
        default_prompt: the name of the one that is put there unasked.
        similarity: how two vectors are compared, where that is recorded.
    """

    pooling: Pooling = Pooling()
    steps: tuple[Step, ...] = ()
    truncate: int | None = None
    prompts: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(_USUAL_PROMPTS, ""))
    default_prompt: str | None = None
    similarity: Similarity | None = None

    @property
    def default_text(self) -> str:
        """What is put before a text unasked."""
        return "" if self.default_prompt is None else self.prompts[self.default_prompt]

    def sizes(self, hidden: int) -> list[int]:
        """Lengths of the pooled vector and of what each step makes of it."""
        sizes = [hidden * len(self.pooling.modes)]
        for step in self.steps:
            sizes.append(step.outputs if isinstance(step, Dense) else sizes[-1])
        return sizes

    def size(self, hidden: int) -> int:
        """Length of the vector; ``hidden`` is that of a token's state."""
        size = self.sizes(hidden)[-1]
        return min(size, self.truncate or size)

    def normalized(self, hidden: int) -> bool:
        """Whether the vector has length one."""
        whole = self.size(hidden) == self.sizes(hidden)[-1]
        return whole and bool(self.steps) and isinstance(self.steps[-1], Normalize)


@dataclass(frozen=True)
class SentenceModel:
    """A folder with ``modules.json``.

    Attributes:
        encoder: where in it the encoder and its tokenizer lie; empty for the folder itself.
        max_length: tokens that the encoder reads of a text, where the folder says it.
        lower_case: whether texts are lower-cased before they are tokenized, whatever the tokenizer does.
        embedding: None for a cross-encoder, which makes no vectors.
    """

    encoder: str
    max_length: int | None
    lower_case: bool
    embedding: SentenceEmbedding | None


def read_sentence_model(folder: Path) -> SentenceModel | None:
    """Read all of it but the weights; None where the folder has no ``modules.json``.

    Raises:
        CheckpointError: a file is missing or invalid, or a module or a key that cannot be carried over.
    """
    if not (folder / MODULES).is_file():
        return None
    settings = _optional(folder / MODEL_CONFIG)
    kind = settings.get("model_type", "SentenceTransformer")
    if kind not in _ENCODER_OUTPUTS:
        raise CheckpointError(f"{folder / MODEL_CONFIG}: model_type {kind} is not supported; {_REMEDY}")
    (first, place), *rest = _modules(folder)
    if first != "Transformer":
        raise _unsupported(folder, f"its first module is {first}, not Transformer")
    max_length, lower_case = _read_encoder(folder / place, kind)
    embedding = None
    if kind == "SentenceTransformer":
        embedding = _read_embedding(folder, rest, settings)
    else:
        _check_cross_encoder(folder, rest, settings)
    return SentenceModel(place, max_length, lower_case, embedding)


def module_folders(folder: Path) -> list[str]:
    """The folders that ``modules.json`` names, the encoder's first; without such a file only the model's own.

    Paths are relative to the model's folder, which itself is an empty one.

    Raises:
        CheckpointError: the file is not a list of modules, or names a place outside the model's folder.
    """
    if not (folder / MODULES).is_file():
        return [""]
    return [place for _, place in _modules(folder)]


def _modules(folder: Path) -> list[tuple[str, str]]:
    """(kind, folder) of each module."""
    path = folder / MODULES
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
        modules = [(str(entry["type"]), str(entry["path"])) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError) as failure:
        raise CheckpointError(
            f"{path} is not a list of sentence-transformers modules ({failure!r}); restore it from its source"
        ) from failure
    if not modules:
        raise CheckpointError(f"{path} names no modules; restore it from its source")
    kinds = []
    for name, place in modules:
        package, _, kind = name.rpartition(".")
        if package.partition(".")[0] != "sentence_transformers":
            raise _unsupported(folder, f"the module {name} is code of its own, which is not run")
        pure = PurePosixPath(place)
        if pure.is_absolute() or ".." in pure.parts or "\\" in place:
            raise CheckpointError(
                f"{path} names {place!r}, which leaves the folder; restore it from its source"
            )
        kinds.append((kind, "" if place == "." else place.rstrip("/")))
    return kinds


def _unsupported(folder: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{folder / MODULES}: {what}; {_REMEDY}")


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _only(path: Path, raw: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse keys that nothing here reads."""
    unknown = sorted(key for key, value in raw.items() if key not in known and value is not None)
    if unknown:
        raise CheckpointError(f"{path}: {', '.join(unknown)} is not supported; {_REMEDY}")


def _wrong(path: Path, key: str, value: object, wanted: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: {key} must be {wanted}, not {json.dumps(value)}; restore the file from its source"
    )


def _flag(path: Path, raw: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = raw.get(key, default)
    if not isinstance(value, bool):
        raise _wrong(path, key, value, "true or false")
    return value


def _count(path: Path, raw: Mapping[str, Any], key: str) -> int | None:
    value = raw.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise _wrong(path, key, value, "a positive integer")
    return value


def _required(path: Path, raw: Mapping[str, Any], key: str) -> int:
    value = _count(path, raw, key)
    if value is None:
        raise _wrong(path, key, None, "a positive integer")
    return value


def _read_encoder(folder: Path, kind: str) -> tuple[int | None, bool]:
    """The longest text in tokens, where it is said, and whether texts are lower-cased first."""
    found = [folder / name for name in ENCODER_CONFIGS if (folder / name).is_file()]
    path, raw = next(((path, raw) for path in found if (raw := read_json(path))), (folder, {}))
    task, output, result = _ENCODER_OUTPUTS[kind]
    expected = {
        "transformer_task": task,
        "modality_config": {"text": {"method": "forward", "method_output_name": output}},
        "module_output_name": result,
    }
    for key, value in expected.items():
        if raw.get(key, value) != value:
            raise CheckpointError(f"{path}: {key} {json.dumps(raw[key])} is not supported; {_REMEDY}")
    arguments = {
        name: {**(raw.get(older) or {}), **(raw.get(name) or {})}
        for name, older in (
            ("model_kwargs", "model_args"),
            ("processor_kwargs", "tokenizer_args"),
            ("config_kwargs", "config_args"),
        )
    }
    # Only the tokenizer's limit is a rule that can be carried over.
    longest = _count(path, arguments["processor_kwargs"], "model_max_length")
    arguments["processor_kwargs"].pop("model_max_length", None)
    for name, given in arguments.items():
        if changes := sorted(given.keys() - set(_HARMLESS_ARGUMENTS)):
            raise CheckpointError(f"{path}: {name} with {', '.join(changes)} is not supported; {_REMEDY}")
    # What is empty, and whether padding is computed, changes no answer.
    others = {key: value for key, value in raw.items() if value not in ({}, []) and key != "unpad_inputs"}
    older = ("model_args", "tokenizer_args", "config_args")
    _only(path, others, ("max_seq_length", "do_lower_case", *expected, *arguments, *older))
    lower_case = raw.get("do_lower_case") is not None and _flag(path, raw, "do_lower_case", default=False)
    return longest or _count(path, raw, "max_seq_length"), lower_case


def _read_embedding(
    folder: Path, modules: list[tuple[str, str]], settings: Mapping[str, Any]
) -> SentenceEmbedding:
    pooling: Pooling | None = None
    steps: list[Step] = []
    for kind, place in modules:
        path = folder / place / "config.json"
        if kind == "Pooling" and pooling is None:
            pooling = _read_pooling(path)
        elif kind == "Dropout":
            pass  # does nothing outside training
        elif kind == "Normalize":
            _check_names(path, _optional(path) if place else {}, ())
            # Before there is a vector, there is nothing to divide.
            steps += [Normalize()] if pooling is not None else []
        elif kind in ("Dense", "LayerNorm") and pooling is not None:
            steps.append(_read_dense(path, place) if kind == "Dense" else _read_norm(path, place))
        else:
            raise _unsupported(folder, f"a {kind} module at this place is not supported")
    if pooling is None:
        raise _unsupported(folder, "there is no Pooling module, so that no text has a vector")
    path = folder / MODEL_CONFIG
    _only(path, settings, (*_COMMON_SETTINGS, "similarity_fn_name", "truncate_dim"))
    prompts, default = _read_prompts(path, settings)
    similarity = settings.get("similarity_fn_name")
    if similarity is not None and similarity not in get_args(Similarity):
        raise _wrong(path, "similarity_fn_name", similarity, f"one of {', '.join(get_args(Similarity))}")
    return SentenceEmbedding(
        pooling, tuple(steps), _count(path, settings, "truncate_dim"), prompts, default, similarity
    )


# Of every type of model; the versions are of the libraries that saved it.
_COMMON_SETTINGS = ("model_type", "__version__", "requirements", "prompts", "default_prompt_name")


def _check_cross_encoder(folder: Path, modules: list[tuple[str, str]], settings: Mapping[str, Any]) -> None:
    if modules:
        raise _unsupported(folder, f"a cross-encoder with a {modules[0][0]} module is not supported")
    path = folder / MODEL_CONFIG
    _only(path, settings, (*_COMMON_SETTINGS, "activation_fn"))
    prompts, default = _read_prompts(path, settings)
    if default is not None and prompts[default]:
        raise CheckpointError(
            f"{path}: default_prompt_name {default!r} puts a prompt before what a cross-encoder compares, "
            "which the runtimes do not; remove it there, and put the prompt before your own texts"
        )


def _read_prompts(path: Path, settings: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    prompts = dict.fromkeys(_USUAL_PROMPTS, "")
    recorded = settings.get("prompts") or {}
    if not isinstance(recorded, dict):
        raise _wrong(path, "prompts", recorded, "an object")
    for name, prompt in recorded.items():
        if not isinstance(prompt, str | None):
            raise _wrong(path, f"the prompt {name}", prompt, "a text")
        prompts[name] = prompt or ""
    default = settings.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise _wrong(path, "default_prompt_name", default, f"one of its prompts ({', '.join(prompts)})")
    return prompts, default


def _read_pooling(path: Path) -> Pooling:
    raw = read_json(path)
    sizes = ("word_embedding_dimension", "embedding_dimension")
    _only(path, raw, (*sizes, *_POOLING_FLAGS, "pooling_mode", "include_prompt"))
    given = raw.get("pooling_mode")
    if given is None:
        given = [mode for key, mode in _POOLING_FLAGS.items() if raw.get(key)] or ["mean"]
    modes = given if isinstance(given, list) else [given]
    if not modes or any(mode not in get_args(PoolingMode) for mode in modes):
        raise _wrong(path, "pooling_mode", given, f"one or more of {', '.join(get_args(PoolingMode))}")
    return Pooling(tuple(modes), _flag(path, raw, "include_prompt", default=True))


def _check_names(path: Path, raw: Mapping[str, Any], more: tuple[str, ...]) -> None:
    """Refuse keys that nothing here reads, and modules that read or make something other than the vector."""
    _only(path, raw, ("module_input_name", "module_output_name", *more))
    for key in ("module_input_name", "module_output_name"):
        if (name := raw.get(key)) not in (None, "sentence_embedding"):
            raise CheckpointError(f"{path}: {key} {name} is not supported; {_REMEDY}")


def _read_dense(path: Path, place: str) -> Dense:
    raw = read_json(path)
    keys = ("in_features", "out_features", "bias", "activation_function", "use_residual")
    _check_names(path, raw, keys)
    name = raw.get("activation_function", "torch.nn.Tanh")
    activation = str(name).rpartition(".")[2]
    if not str(name).startswith("torch.nn.") or activation not in ACTIVATIONS:
        raise CheckpointError(
            f"{path}: activation_function {name} is not supported, only torch.nn's {', '.join(ACTIVATIONS)}; "
            f"{_REMEDY}"
        )
    return Dense(
        folder=place,
        inputs=_required(path, raw, "in_features"),
        outputs=_required(path, raw, "out_features"),
        bias=_flag(path, raw, "bias", default=True),
        activation=activation,
        residual=_flag(path, raw, "use_residual", default=False),
    )


def _read_norm(path: Path, place: str) -> Norm:
    raw = read_json(path)
    _only(path, raw, ("dimension",))
    return Norm(place, _required(path, raw, "dimension"))


def check_sizes(embedding: SentenceEmbedding, hidden: int, folder: Path) -> None:
    """Refuse steps that do not take what the one before makes.

    Raises:
        CheckpointError: names the step and both sizes.
    """
    for step, (made, wanted) in _wanted_sizes(embedding, hidden):
        if made != wanted:
            raise CheckpointError(
                f"{folder / step / 'config.json'} is for vectors of {wanted} numbers, but what comes before "
                f"makes {made}; restore the folder from its source"
            )


def _wanted_sizes(embedding: SentenceEmbedding, hidden: int) -> Iterator[tuple[str, tuple[int, int]]]:
    for step, made in zip(embedding.steps, embedding.sizes(hidden), strict=False):
        match step:
            case Dense():
                yield step.folder, (made, step.inputs)
            case Norm():
                yield step.folder, (made, step.size)
