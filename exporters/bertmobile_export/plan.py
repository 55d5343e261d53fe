"""What one export is to make: known before a weight is read, so that a dry run can say it too."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bertmobile.errors import UsageError
from bertmobile.manifest import TensorSpec
from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.recipes import Recipe

DEFAULT_LENGTHS = (32, 64, 128, 256)
# Mask positions of one run. A sentence seldom has more than a few masks, and the vocabulary projection reads
# the whole table whether for one row or for five.
MASK_SLOTS = 5
SHORTEST = 4


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

    @property
    def mask_slots(self) -> int | None:
        return MASK_SLOTS if self.task == "fill-mask" and not self.full_logits else None

    @property
    def tied_decoder(self) -> bool:
        return self.task == "fill-mask" and self.config.tie_word_embeddings

    @property
    def options(self) -> dict[str, str | bool | int]:
        """Options that are not the default, as the manifest records them."""
        options: dict[str, str | bool | int] = {}
        if self.full_logits:
            options["full-logits"] = True
        if self.lengths != default_lengths(self.config):
            options["seq"] = "-".join(map(str, self.lengths))
        return options

    @property
    def bundle_name(self) -> str:
        """``<model>-<task>-<recipe>[-<option>...].<target>``; options sorted."""
        model = re.sub(r"[^A-Za-z0-9._-]+", "-", self.model.rsplit("/", 1)[-1]).strip("-.") or "model"
        suffixes = [key if value is True else f"{key}{value}" for key, value in sorted(self.options.items())]
        return "-".join([model, self.task, self.recipe.name, *suffixes]) + f".{self.target}"

    def inputs(self, dtype: str) -> tuple[TensorSpec, ...]:
        """The model's inputs; ``dtype`` is int32 or int64, as the target has it."""
        row: tuple[int | str, ...] = (1, "length")
        specs = [TensorSpec(name, dtype, row) for name in ("input_ids", "attention_mask", "token_type_ids")]
        if self.mask_slots:
            specs.append(TensorSpec("mask_positions", dtype, (1, self.mask_slots)))
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
                "sentence_embedding": (1, config.hidden_size),
            },
        }
        return tuple(TensorSpec(name, "float32", shape) for name, shape in shapes[self.task].items())


def default_lengths(config: ModelConfig) -> tuple[int, ...]:
    """The usual buckets, as far as the model's positions reach."""
    longest = config.max_position_embeddings
    return tuple(length for length in DEFAULT_LENGTHS if length <= longest) or (longest,)


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
