"""text-classification: the labels of a text or a pair of texts."""

from collections.abc import Mapping
from typing import Any, Literal

from bertmobile.tasks import Context, Task
from bertmobile.tasks.inputs import Fields, always, at_least_one
from bertmobile.tasks.numeric import Floats, as_float32, sigmoid, softmax
from bertmobile.tasks.zero_shot_classification import ZeroShotClassification


class TextClassification(Task):
    """``logits`` are [1, labels]."""

    name = "text-classification"
    fields = Fields(second="text_pair")
    second = "candidate_labels"

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization
        self._labels = context.manifest.labels
        self._problem_type = context.manifest.problem_type
        self._zero_shot = ZeroShotClassification(context)

    @property
    def options(self) -> list[str]:
        """Names of the options; ``candidate_labels`` has others beside it."""
        return [*super().options, "candidate_labels"]

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """As :class:`Task`, or with ``candidate_labels`` as :class:`ZeroShotClassification`."""
        return self._zero_shot.checked(options) if "candidate_labels" in options else super().checked(options)

    def __call__(self, inputs: object = None, **options: Any) -> Any:
        """Answer as :class:`Task`, or with ``candidate_labels`` as :class:`ZeroShotClassification`."""
        merged = {**self.defaults, **options}
        if "candidate_labels" in merged:
            return self._zero_shot(inputs, **merged)
        answer = super().__call__(inputs, **options)
        # The pipeline's own oddity: a string, and nothing else, is answered with a list of one.
        return [answer] if isinstance(inputs, str) and "top_k" not in options else answer

    def answer(
        self,
        text: str,
        pair: str | None = None,
        *,
        top_k: int | Literal["best"] | None = "best",
        truncation: bool = True,
        max_length: int | None = None,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Label a text or a pair.

        Args:
            text: the text.
            pair: the second text, for models trained on pairs.
            top_k: ``"best"`` for the best label as one dictionary; a number for a list of so many, best
                first; None for a list of all.
            truncation: only True: what does not fit is dropped.
            max_length: a shorter limit than the longest bucket's, in tokens with the special ones.

        Returns:
            ``{label, score}``; a score is a softmax, a sigmoid when there may be several labels or there is
            only one, and the bare output of a regression.

        Raises:
            UsageError: an option is wrong.
        """
        count = None if top_k in ("best", None) else at_least_one("top_k", top_k)
        always("truncation", truncation)
        if max_length is not None:
            at_least_one("max_length", max_length)
        encoded = self._tokenization.encode(text, pair, max_length=max_length)
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
