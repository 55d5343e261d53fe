"""text-classification: the labels of a text or a pair of texts."""

from typing import Any, Literal

from bertmobile.tasks import Context
from bertmobile.tasks.inputs import Fields, at_least_one
from bertmobile.tasks.numeric import Floats, as_float32, sigmoid, softmax


class TextClassification:
    """``logits`` are [1, labels]."""

    fields = Fields(second="text_pair")

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization
        self._labels = context.manifest.labels
        self._problem_type = context.manifest.problem_type

    def answer(
        self, text: str, pair: str | None = None, *, top_k: int | Literal["best"] | None = "best"
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Label a text or a pair.

        Args:
            text: the text.
            pair: the second text, for models trained on pairs.
            top_k: ``"best"`` for the best label as one dictionary; a number for a list of so many, best
                first; None for a list of all.

        Returns:
            ``{label, score}``; a score is a softmax, a sigmoid when there may be several labels or there is
            only one, and the bare output of a regression.

        Raises:
            UsageError: an option is wrong.
        """
        count = None if top_k in ("best", None) else at_least_one("top_k", top_k)
        encoded = self._tokenization.encode(text, pair)
        scores = self._scores(as_float32(self._run(encoded.inputs)["logits"])[0])
        best = sorted(zip(self._labels, scores.tolist(), strict=True), key=lambda pair: -pair[1])
        labelled = [{"label": label, "score": score} for label, score in best]
        return labelled[0] if top_k == "best" else labelled[:count]

    def _scores(self, logits: Floats) -> Floats:
        if self._problem_type == "regression":
            return logits
        if self._problem_type == "multi_label_classification" or len(self._labels) == 1:
            return sigmoid(logits)
        return softmax(logits)
