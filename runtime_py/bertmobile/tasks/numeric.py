"""Arithmetic that several tasks share, in float32 as the models' own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def as_float32(values: NDArray[Any]) -> Floats:
    """Model outputs as float32; a copy only where they are float16."""
    return np.asarray(values, dtype=np.float32)


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis; the largest logit is taken off first, so that nothing overflows."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return scores


def sigmoid(logits: Floats) -> Floats:
    """Logistic function, written so that exp() never overflows."""
    scores: Floats = np.exp(-np.logaddexp(np.float32(0), -logits))
    return scores


def top_indices(scores: Floats, count: int) -> NDArray[np.intp]:
    """Indices of the ``count`` largest of [n] scores, best first; equal scores by index.

    A full sort of a vocabulary would take longer than a small model's run.
    """
    count = min(count, scores.size)
    smallest = np.partition(scores, scores.size - count)[scores.size - count]
    candidates = np.flatnonzero(scores >= smallest)
    return candidates[np.argsort(-scores[candidates], kind="stable")[:count]]
