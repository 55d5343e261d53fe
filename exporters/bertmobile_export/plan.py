"""What one export is to make: known before a weight is read, so that a dry run can say it too."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest, TensorSpec
from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.checkpoint.scores import FunctionToApply, gives_values
from bertmobile_export.recipes import Recipe, parse_recipe

DEFAULT_LENGTHS = (32, 64, 128, 256)
# For files that hold one length only.
SINGLE_LENGTH = 128
# Mask positions of one run. A sentence seldom has more than a few masks, and the vocabulary projection reads
# the whole table whether for one row or for five.
MASK_SLOTS = 5
SHORTEST = 4
NEWEST_IOS = 18
# Before this version only one input of a Core ML model may have several shapes; ours has three.
ENUMERATED_LENGTHS_IOS = 18
# What a classifier for MediaPipe answers with beside its logits.
PROBABILITIES = "probabilities"
# Options without a value: how bundle names and manifests spell them, and the fields of a plan.
FLAGS = {"full-logits": "full_logits", "mediapipe": "mediapipe", "ort": "ort", "portable": "portable"}


@dataclass(frozen=True)
class Plan:
    """One bundle to be made."""

    model: str
    config: ModelConfig
    task: str
    recipe: Recipe
    target: str
    lengths: tuple[int, ...]
    full_logits: bool = False
    mediapipe: bool = False
    portable: bool = False
    ort: bool = False
    ios: int | None = None
    """The lowest version of iOS that shall run a Core ML package; None for other targets."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What the user should know of, such as a format that had to give way to another."""

    @classmethod
    def from_manifest(cls, manifest: Manifest, config: ModelConfig) -> "Plan":
        """What a bundle was made by.

        Args:
            manifest: the bundle's.
            config: of the checkpoint that it was made from.

        Raises:
            UsageError: its recipe or an option of it is unknown here.
        """
        options = dict(manifest.options)
        ios = int(options.pop("ios", NEWEST_IOS)) if manifest.target == "coreml" else None
        options.pop("seq", None)  # the manifest's lengths say it
        if unknown := options.keys() - FLAGS.keys():
            raise UsageError(
                f"{manifest.name} was made with {', '.join(sorted(unknown))}, which this bertmobile does not "
                "know; install the one that wrote it"
            )
        flags: dict[str, Any] = {FLAGS[name]: bool(value) for name, value in options.items()}
        return cls(
            model=manifest.source.model,
            config=config,
            task=manifest.task,
            recipe=parse_recipe(manifest.recipe, source="the manifest's recipe"),
            target=manifest.target,
            lengths=manifest.lengths,
            ios=ios,
            **flags,
        )

    @property
    def dynamic(self) -> bool:
        """Whether the file takes any batch and any length, so that nothing is padded."""
        return self.target == "onnx" and not self.portable

    @property
    def single_length(self) -> bool:
        """Whether the file can hold one length only."""
        return self.mediapipe or self.portable or (self.ios or NEWEST_IOS) < ENUMERATED_LENGTHS_IOS

    @property
    def mask_slots(self) -> int | None:
        return MASK_SLOTS if self.task == "fill-mask" and not self.full_logits else None

    @property
    def pooling_mask(self) -> bool:
        """Whether an input of its own says which tokens are pooled: not those of a prompt."""
        return self.task == "feature-extraction" and not self.config.embedding.pooling.include_prompt

    @property
    def tied_decoder(self) -> bool:
        return self.task == "fill-mask" and self.config.tie_word_embeddings

    @property
    def options(self) -> dict[str, str | bool | int]:
        """Options that are not the default, as the manifest records them."""
        options: dict[str, str | bool | int] = {
            name: True for name, flag in FLAGS.items() if getattr(self, flag)
        }
        if self.ios not in (None, NEWEST_IOS):
            options["ios"] = self.ios or NEWEST_IOS
        if self.lengths != default_lengths(self.config, single=self.single_length):
            options["seq"] = "-".join(map(str, self.lengths))
        return options

    @property
    def problem_type(self) -> str | None:
        """Of a text-classification; one label of which the config says no more may be anything."""
        if self.task != "text-classification":
            return None
        usual = "single_label_classification" if self.config.num_labels > 1 else None
        return self.config.problem_type or usual

    @property
    def function_to_apply(self) -> FunctionToApply | None:
        """What makes scores of the logits of a text-classification.

        Raises:
            CheckpointError: the checkpoint records an activation that a bundle cannot apply.
        """
        return self.config.function_to_apply if self.task == "text-classification" else None

    @property
    def decides(self) -> bool:
        """Whether answers are labels or spans, chosen from a few, so that a share of them can change."""
        config = self.config
        if self.task == "text-classification":
            return not gives_values(config.function_to_apply, self.problem_type, config.num_labels)
        return self.task in ("next-sentence", "token-classification", "question-answering")

    @property
    def bundle_name(self) -> str:
        """``<model>-<task>-<recipe>[-<option>...].<target>``; options sorted."""
        model = re.sub(r"[^A-Za-z0-9._-]+", "-", self.model.rsplit("/", 1)[-1]).strip("-.") or "model"
        suffixes = [key if value is True else f"{key}{value}" for key, value in sorted(self.options.items())]
        return "-".join([model, self.task, self.recipe.name, *suffixes]) + f".{self.target}"

    def inputs(self, dtype: str) -> tuple[TensorSpec, ...]:
        """The model's inputs; ``dtype`` is int32 or int64, as the target has it."""
        batch = "batch" if self.dynamic else 1
        row: tuple[int | str, ...] = (batch, "length")
        specs = [TensorSpec(name, dtype, row) for name in ("input_ids", "attention_mask", "token_type_ids")]
        if self.mask_slots:
            specs.append(TensorSpec("mask_positions", dtype, (batch, self.mask_slots)))
        if self.pooling_mask:
            specs.append(TensorSpec("pooling_mask", dtype, row))
        return tuple(specs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model's outputs; always float32."""
        config = self.config
        shapes: dict[str, dict[str, tuple[int | str, ...]]] = {
            "fill-mask": {"logits": (1, self.mask_slots or "length", config.vocab_size)},
            "next-sentence": {"logits": (1, 2)},
            "text-classification": {"logits": (1, config.num_labels)},
            "token-classification": {"logits": (1, "length", config.num_labels)},
            "question-answering": {"start_logits": (1, "length"), "end_logits": (1, "length")},
            "feature-extraction": {
                "last_hidden_state": (1, "length", config.hidden_size),
                "sentence_embedding": (1, config.embedding.size(config.hidden_size)),
            },
        }
        outputs = shapes[self.task]
        if self.mediapipe and self.task == "text-classification":
            outputs |= {PROBABILITIES: (1, config.num_labels)}
        batch = "batch" if self.dynamic else 1
        return tuple(TensorSpec(name, "float32", (batch, *shape[1:])) for name, shape in outputs.items())


def default_lengths(config: ModelConfig, *, single: bool = False) -> tuple[int, ...]:
    """The usual buckets (or the usual single one), as far as the model itself reads a text.

    A model that reads less than the longest of them has a bucket of just that length, and so has a
    sentence-transformers folder that reads more: its vectors are those of whole texts.
    """
    longest = config.longest
    if single:
        return (min(SINGLE_LENGTH, longest),)
    last = longest if config.is_sentence_model else min(DEFAULT_LENGTHS[-1], longest)
    return (*(length for length in DEFAULT_LENGTHS if length < last), last)


def check_lengths(lengths: Sequence[int], config: ModelConfig) -> tuple[int, ...]:
    """Sorted, distinct buckets.

    Raises:
        UsageError: a length is too short to hold a text, or above the model's positions.
    """
    longest = config.max_position_embeddings
    for length in lengths:
        if length > longest:
            raise UsageError(
                f"--seq-len {length} is above the model's {longest} positions; give at most {longest}"
            )
        if length < SHORTEST:
            raise UsageError(f"--seq-len {length} is too short for any text; give at least {SHORTEST}")
    return tuple(sorted(set(lengths)))
