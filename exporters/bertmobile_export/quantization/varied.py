"""More texts than there are, for ``--effort high``."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

# How often each text is read once more, and the share of its tokens that are then other words. Measured on
# MiniLM at 4 bits: more copies, or more words, won nothing.
COPIES = 2
REPLACED = 0.2


def varied(
    samples: Sequence[Mapping[str, NDArray[np.int64]]], words: Sequence[int]
) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Each text again with a part of its tokens replaced by random words, ``COPIES`` times.

    Rounding that has seen a few hundred texts trusts what their words have in common.

    Args:
        samples: a network's inputs, [1, length] int64 each.
        words: ids to choose from; without any, no text is varied.
    """
    if not words:
        return
    random = np.random.default_rng(0)
    for _ in range(COPIES):
        for sample in samples:
            ids = sample["input_ids"].copy()
            chosen = (random.random(ids.shape) < REPLACED) & (sample["attention_mask"] > 0)
            last = int(sample["attention_mask"].sum()) - 1
            chosen[0, [0, last]] = False  # [CLS] and [SEP]
            ids[chosen] = random.choice(np.asarray(words), int(chosen.sum()))
            yield {**sample, "input_ids": ids}
