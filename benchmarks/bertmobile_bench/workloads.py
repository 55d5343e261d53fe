"""What is run while it is timed: so many random tokens, or sentences in turn."""

from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile.tokenization import Tokenization

TEXTS = "texts"
TEXT_COUNT = 100
LENGTHS = (32, 64, 128, 256)


def sentences() -> tuple[str, ...]:
    """Sentences of the exporter's parity texts, spread over them."""
    lines = resources.files("bertmobile_export.texts").joinpath("parity.txt").read_text("utf-8").splitlines()
    return tuple(lines[index * len(lines) // TEXT_COUNT] for index in range(TEXT_COUNT))


def fitting_lengths(manifest: Manifest, lengths: Sequence[int], *, texts: bool) -> tuple[int, ...]:
    """Those of the lengths that a bundle can run.

    Raises:
        UsageError: none of them, and no texts either.
    """
    known = manifest.lengths
    fitting = tuple(
        length for length in lengths if length in known or (manifest.dynamic and length <= max(known))
    )
    if not fitting and not texts:
        raise UsageError(
            f"{manifest.name} has none of the lengths {', '.join(map(str, lengths))}; "
            f"give --lengths with some of {', '.join(map(str, known))}"
        )
    return fitting


def random_inputs(manifest: Manifest, length: int) -> dict[str, Any]:
    """Inputs of so many random tokens; the first mask slot points at a token, as the others do."""
    random = np.random.default_rng(length)
    values = {
        "input_ids": random.integers(1, manifest.tokenizer.vocab_size, (1, length)),
        "attention_mask": np.ones((1, length)),
        "pooling_mask": np.ones((1, length)),
        "token_type_ids": np.zeros((1, length)),
        "mask_positions": np.zeros((1, manifest.mask_slots or 1)),
    }
    return {spec.name: values[spec.name].astype(spec.dtype) for spec in manifest.inputs}


def text_inputs(manifest: Manifest, tokenization: Tokenization, text: str) -> dict[str, Any]:
    """Inputs of a text; the scores of its first token stand for those of a mask: they cost as much."""
    inputs = tokenization.encode(text).inputs
    return {
        spec.name: inputs.get(spec.name, np.zeros((1, manifest.mask_slots or 1), spec.dtype))
        for spec in manifest.inputs
    }
