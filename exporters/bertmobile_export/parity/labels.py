"""What a user of a classifier loses: decisions that change, and probabilities that move.

Every head is read as decisions between competing choices. The cosine of a few logits says little of them: two
logits keep their direction while the smaller of them changes by half.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.manifest import Manifest
from bertmobile.tasks.question_answering import LONGEST_ANSWER, spans
from bertmobile.tokenization import Encoded
from bertmobile_export.checkpoint.scores import gives_values
from bertmobile_export.parity.metrics import log_softmax

# A decision whose two likeliest choices are nearer than this in probability is one that the source itself has
# hardly made: 0.525 against 0.475, for two labels. Another sum order may turn it. A probability, because it
# means the same for every head, whatever the scale of its logits, and because it is what a user reads.
TINY_MARGIN = 0.05

Doubles = NDArray[np.float64]
Outputs = Mapping[str, NDArray[np.float32]]
Choices = Callable[[Outputs, Encoded], Doubles]


def choices_of(manifest: Manifest) -> Choices | None:
    """How a bundle's outputs for one text become decisions; None where they are none.

    The function found returns log-probabilities but for a constant, float64 [decisions, choices]: of the
    labels of a text or of each token, of yes and no for each label that holds by itself, or of the spans of a
    context.
    """
    match manifest.task:
        case "next-sentence":
            return _labels
        case "text-classification":
            if gives_values(manifest.function_to_apply, manifest.problem_type, len(manifest.labels)):
                return None
            return _yes_or_no if manifest.function_to_apply == "sigmoid" else _labels
        case "token-classification":
            return _labels_of_tokens
        case "question-answering":
            return _spans
    return None


def _labels(outputs: Outputs, _: Encoded) -> Doubles:
    return np.atleast_2d(outputs["logits"].astype(np.float64))


def _yes_or_no(outputs: Outputs, _: Encoded) -> Doubles:
    # A sigmoid is the softmax of the logit and zero, and its 0.5 where the two are equal.
    logits = outputs["logits"].astype(np.float64)
    return np.stack([logits, np.zeros_like(logits)], axis=-1)


def _labels_of_tokens(outputs: Outputs, encoded: Encoded) -> Doubles:
    # The runtime shows no label of [CLS] and [SEP].
    shown = np.array(encoded.special_tokens_mask) == 0
    logits: Doubles = outputs["logits"][shown].astype(np.float64)
    return logits


def _spans(outputs: Outputs, encoded: Encoded) -> Doubles:
    inside = np.array([text == 1 for text in encoded.sequence_ids])
    first, last = spans(inside, LONGEST_ANSWER)
    start, end = (outputs[name].astype(np.float64) for name in ("start_logits", "end_logits"))
    # No row where nothing of the context is left.
    return (start[first] + end[last]).reshape(-1, max(len(first), 1))


@dataclass
class LabelMetrics:
    """Collects the decisions of one engine over all texts."""

    choices: Choices
    _texts: int = 0
    _text: list[int] = field(default_factory=list)
    _margins: list[float] = field(default_factory=list)
    _flipped: list[bool] = field(default_factory=list)
    _moved: list[float] = field(default_factory=list)
    _kl: list[float] = field(default_factory=list)

    def add(self, actual: Outputs, reference: Outputs, encoded: Encoded) -> None:
        """Add one text: the outputs of both sides by name, padding already left out."""
        finite = {name: np.nan_to_num(values) for name, values in actual.items()}
        log_q, log_p = (log_softmax(self.choices(side, encoded)) for side in (finite, reference))
        self._texts += 1
        p, q = np.exp(log_p), np.exp(log_q)
        self._text += [self._texts - 1] * len(p)
        self._margins += _margins(p).tolist()
        self._flipped += (p.argmax(-1) != q.argmax(-1)).tolist()
        self._moved += np.abs(p - q).max(-1).tolist()
        self._kl += np.maximum(0.0, (p * (log_p - log_q)).sum(-1)).tolist()

    def summary(self) -> dict[str, Any] | None:
        """The numbers of the parity report's schema; None when no text had anything to decide."""
        if not self._text:
            return None
        margins, flipped, moved = map(np.array, (self._margins, self._flipped, self._moved))
        tiny = margins < TINY_MARGIN
        flips = flipped & ~tiny
        decided = int((~tiny).sum())
        clearest = int(np.argmax(np.where(flips, margins, -1.0)))
        return {
            "decided": decided,
            "flips": int(flips.sum()),
            "flip_share": float(flips.sum() / max(decided, 1)),
            "tiny_margin": int(tiny.sum()),
            "tiny_flips": int((flipped & tiny).sum()),
            "probability_max": float(moved.max()),
            "probability_mean": float(moved.mean()),
            "kl_mean": float(np.mean(self._kl)),
            "kl_max": max(self._kl),
            "flipped_text": self._text[clearest] if flips.any() else None,
            "moved_text": self._text[int(moved.argmax())],
        }


def _margins(probabilities: Doubles) -> Doubles:
    """How far the likeliest of [decisions, choices] is from the next; 1 where there is no other."""
    if probabilities.shape[-1] == 1:
        return np.ones(len(probabilities))
    best = np.partition(probabilities, -2, axis=-1)[:, -2:]
    return best[:, 1] - best[:, 0]


@dataclass
class ValueMetrics:
    """Collects the bare numbers of one engine over all texts, as those of a regression."""

    _actual: list[NDArray[np.float32]] = field(default_factory=list)
    _reference: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, actual: Outputs, reference: Outputs) -> None:
        """Add one text: its ``logits`` [numbers] of both sides."""
        self._actual.append(np.nan_to_num(actual["logits"]))
        self._reference.append(reference["logits"])

    def summary(self) -> dict[str, Any]:
        """The numbers of the parity report's schema.

        A difference is a part of the standard deviation of its number over the texts: a scale of a regression
        may be anything, and what a user reads is which text has more. One text has no deviation, and null.
        """
        actual, reference = (np.array(side, np.float64) for side in (self._actual, self._reference))
        spread = reference.std(axis=0)
        if not spread.all():
            return {"spread": float(spread.min()), "value_max": None, "value_mean": None, "moved_text": 0}
        moved = np.abs(actual - reference) / spread
        return {
            "spread": float(spread.min()),
            "value_max": float(moved.max()),
            "value_mean": float(moved.mean()),
            "moved_text": int(moved.max(axis=1).argmax()),
        }
