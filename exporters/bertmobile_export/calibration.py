"""Texts as the inputs of a network, for recipes that calibrate activation ranges."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bertmobile.manifest import TokenizerSpec
from bertmobile_export.plan import Plan
from bertmobile_export.texts import Sample


def calibration_inputs(
    plan: Plan, spec: TokenizerSpec, tokenizer: Tokenizer, samples: Iterable[Sample]
) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Yield each text as the network's inputs: [1, longest bucket] int64 (``mask_positions`` [1, slots]).

    Args:
        plan: lengths and mask slots.
        spec: the tokenizer's special tokens and segments.
        tokenizer: without truncation and padding.
        samples: what to yield.
    """
    length = max(plan.lengths)
    special = spec.special_tokens
    for sample in samples:
        encoding = tokenizer.encode(sample.text, sample.pair)
        encoding.truncate(length)
        encoding.pad(length, pad_id=special["pad"].id, pad_token=special["pad"].token)
        types = encoding.type_ids if spec.type_vocab_size > 1 else [0] * length
        inputs = {
            "input_ids": np.array([encoding.ids]),
            "attention_mask": np.array([encoding.attention_mask]),
            "token_type_ids": np.array([types]),
        }
        if plan.pooling_mask:  # no prompts
            inputs["pooling_mask"] = inputs["attention_mask"]
        if plan.mask_slots:
            masks = [i for i, token in enumerate(encoding.ids) if token == special["mask"].id]
            inputs["mask_positions"] = np.array([(masks + [0] * plan.mask_slots)[: plan.mask_slots]])
        yield inputs


def word_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids of the tokens that are whole words, ascending: of letters only, neither special nor a part."""
    return sorted(number for token, number in tokenizer.get_vocab().items() if token.isalpha())
