"""Numbers that say how far one output is from its reference."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# A vector much shorter than usual has no meaningful direction: two logits near zero, say, whose cosine is
# decided by noise. Such a text counts in every other number. Lengths are per value (root mean square), so
# that a text is not left out for having few tokens.
SHORT = 0.5


def cosine(a: Floats, b: Floats) -> float:
    """Cosine of two arrays taken as vectors; 1 for two zero vectors, 0 for one. Computed in float64."""
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    if norms == 0.0:
        return float(np.array_equal(x, y))
    # Two equal or opposite vectors may come out a rounding step beyond one.
    return float(np.clip(x @ y / norms, -1.0, 1.0))


def _norm(values: Floats) -> float:
    """In float64: an infinity is counted as float32's largest value, whose square float32 cannot hold."""
    return float(np.linalg.norm(values.astype(np.float64)))


def log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Logarithms of the softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised


@dataclass
class OutputMetrics:
    """Collects one output over all texts.

    Args:
        scores: the last axis holds competing scores (logits), so that ranks and distributions mean something.
    """

    scores: bool
    _diffs_max: list[float] = field(default_factory=list)
    _diffs_sum: float = 0.0
    _sizes: list[int] = field(default_factory=list)
    _cosines: list[float] = field(default_factory=list)
    _norms: list[tuple[float, float]] = field(default_factory=list)
    _singles: list[tuple[Floats, Floats]] = field(default_factory=list)
    _top1: list[bool] = field(default_factory=list)
    _top5: list[float] = field(default_factory=list)
    _kl: list[float] = field(default_factory=list)
    _not_finite: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, actual: Floats, reference: Floats) -> None:
        """Add one text: two arrays of one shape, [rows, n] or [n], float32; padding already left out."""
        self._not_finite[0] += int(np.isnan(actual).sum())
        self._not_finite[1] += int(np.isinf(actual).sum())
        actual = np.nan_to_num(actual)
        diff = np.abs(actual - reference)
        self._diffs_max.append(float(diff.max()))
        self._diffs_sum += float(diff.sum(dtype=np.float64))
        self._sizes.append(diff.size)
        self._norms.append((_norm(actual), _norm(reference)))
        self._cosines.append(cosine(actual, reference))
        if actual.size == 1:
            self._singles.append((actual.ravel(), reference.ravel()))
        if self.scores and actual.shape[-1] > 1:
            self._rank(np.atleast_2d(actual), np.atleast_2d(reference))

    def _rank(self, actual: Floats, reference: Floats) -> None:
        self._top1.extend((actual.argmax(-1) == reference.argmax(-1)).tolist())
        count = min(5, actual.shape[-1] - 1)
        best = [np.argpartition(-x, count - 1, axis=-1)[:, :count] for x in (actual, reference)]
        self._top5.extend(
            len(np.intersect1d(mine, theirs)) / count for mine, theirs in zip(*best, strict=True)
        )
        log_p, log_q = log_softmax(reference), log_softmax(actual)
        self._kl.extend(np.maximum(0.0, (np.exp(log_p) * (log_p - log_q)).sum(-1)).tolist())

    def directions(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The cosines of the texts that have a direction, and the indices of those texts."""
        if self._singles:
            # One value a text: the direction is that of the values over all texts.
            actual, reference = (np.concatenate(side) for side in zip(*self._singles, strict=True))
            worst = int(np.abs(actual - reference).argmax())
            return np.array([cosine(actual, reference)]), np.array([worst])
        lengths = np.array([norm for _, norm in self._norms]) / np.sqrt(self._sizes)
        kept = np.flatnonzero(lengths >= SHORT * np.sqrt(np.mean(lengths**2)))
        return np.array(self._cosines)[kept], kept

    def summary(self) -> dict[str, Any]:
        """The numbers of the parity report's schema."""
        cosines, indices = self.directions()
        ratios = [actual / reference for actual, reference in self._norms if reference > 0]
        nan, inf = self._not_finite
        return {
            "max_abs": max(self._diffs_max),
            "mean_abs": self._diffs_sum / sum(self._sizes),
            "cosine_min": float(cosines.min()),
            "cosine_mean": float(cosines.mean()),
            "cosine_texts": len(cosines),
            "norm_ratio_min": min(ratios, default=1.0),
            "norm_ratio_max": max(ratios, default=1.0),
            "top1": _mean(self._top1),
            "top5": _mean(self._top5),
            "kl_mean": _mean(self._kl),
            "kl_max": max(self._kl) if self._kl else None,
            "nan_count": nan,
            "inf_count": inf,
            "worst_text": int(indices[cosines.argmin()]),
            "worst_abs_text": int(np.argmax(self._diffs_max)),
        }


def _mean(values: Iterable[float]) -> float | None:
    collected = list(values)
    return float(np.mean(collected)) if collected else None
