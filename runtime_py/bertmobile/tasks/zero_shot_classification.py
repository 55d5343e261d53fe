"""zero-shot classification: which of the caller's labels holds of a text, asked of a head for entailment."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertmobile.errors import UsageError
from bertmobile.tasks import Context, Task
from bertmobile.tasks.inputs import Fields
from bertmobile.tasks.numeric import Floats, as_float32, softmax

HYPOTHESIS = "This example is {}."


class ZeroShotClassification(Task):
    """What text-classification bundles do whose labels tell entailment from contradiction.

    Each label makes a hypothesis, and the head judges whether the text entails it (Yin et al., 2019).
    ``logits`` are [1, labels].
    """

    name = "zero-shot-classification"
    fields = Fields(first="sequences")

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization
        self._labels = context.manifest.labels

    def answer(
        self,
        text: str,
        _: None = None,
        *,
        candidate_labels: str | Sequence[str],
        hypothesis_template: str = HYPOTHESIS,
        multi_label: bool = False,
    ) -> dict[str, Any]:
        """Rank labels for a text.

        Args:
            text: the text; what does not fit is dropped from its end, and never from a hypothesis.
            candidate_labels: labels, as a list or separated by commas.
            hypothesis_template: a sentence with ``{}`` where a label goes.
            multi_label: whether several labels may hold: each is then judged alone, as entailment against
                contradiction. So is a single label.

        Returns:
            ``{sequence, labels, scores}``, best first. Scores of one text add up to 1, but for
            ``multi_label``.

        Raises:
            UsageError: the head has no label for entailment, the text is empty, an option is wrong, or a
                hypothesis leaves no room for the text.
        """
        entailment, contradiction = self._judges()
        labels = _parsed(candidate_labels)
        if not text:
            raise UsageError("the text is empty; give one that a label may hold of")
        logits = np.stack([self._logits(text, _hypothesis(hypothesis_template, label)) for label in labels])
        if multi_label or len(labels) == 1:
            scores = softmax(logits[:, [contradiction, entailment]])[:, 1]
        else:
            scores = softmax(logits[:, entailment])
        best = scores.argsort(kind="stable")[::-1]
        return {
            "sequence": text,
            "labels": [labels[index] for index in best],
            "scores": scores[best].tolist(),
        }

    def _logits(self, text: str, hypothesis: str) -> Floats:
        encoded = self._tokenization.encode(text, hypothesis, keep_pair=True)
        logits: Floats = as_float32(self._run(encoded.inputs)["logits"])[0]
        return logits

    def _judges(self) -> tuple[int, int]:
        """Places of entailment and contradiction in the head.

        The pipeline takes the first label, or the last, for contradiction, whatever its name is; here that
        goes for heads that have none of that name, such as entailment against its absence.
        """
        names = [label.lower() for label in self._labels]
        entailment = next((i for i, name in enumerate(names) if name.startswith("entail")), None)
        if entailment is None or len(names) < 2:
            raise UsageError(
                "candidate_labels needs a model of entailment, with a label such as 'entailment'; the labels "
                f"of this one are {', '.join(self._labels)}"
            )
        other = len(names) - 1 if entailment == 0 else 0
        return entailment, next((i for i, name in enumerate(names) if name.startswith("contra")), other)


def _parsed(labels: object) -> list[str]:
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    if not isinstance(labels, Sequence) or not labels or not all(isinstance(label, str) for label in labels):
        raise UsageError("candidate_labels must be a list of labels, or labels with commas between")
    return list(labels)


def _hypothesis(template: object, label: str) -> str:
    try:
        hypothesis = template.format(label) if isinstance(template, str) else template
    except (LookupError, ValueError):
        hypothesis = template
    if not isinstance(hypothesis, str) or hypothesis == template:
        raise UsageError(f"hypothesis_template must have {{}} where a label goes, not {template!r}")
    return hypothesis
