"""text-classification: the labels of a text or a pair of texts."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from bertmobile.errors import UsageError
from bertmobile.tasks import Context
from bertmobile.tasks.inputs import Fields, at_least_one
from bertmobile.tasks.numeric import Floats, as_float32, sigmoid, softmax

_FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": lambda logits: logits,
}


class TextClassification:
    """``logits`` are [1, labels]."""

    fields = Fields(second="text_pair")

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization
        self._labels = context.manifest.labels
        self._function = str(context.manifest.function_to_apply)

    def answer(
        self,
        text: str,
        pair: str | None = None,
        *,
        top_k: int | Literal["best"] | None = "best",
        function_to_apply: str | None = None,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Label a text or a pair.

        Args:
            text: the text.
            pair: the second text, for models trained on pairs.
            top_k: ``"best"`` for the best label as one dictionary; a number for a list of so many, best
                first; None for a list of all.
            function_to_apply: what makes scores of the model's outputs: ``softmax``, ``sigmoid`` or ``none``;
                by default (None or ``default``) what the manifest says.

        Returns:
            ``{label, score}``.

        Raises:
            UsageError: an option is wrong.
        """
        count = None if top_k in ("best", None) else at_least_one("top_k", top_k)
        apply = self._chosen(function_to_apply)
        encoded = self._tokenization.encode(text, pair)
        scores = apply(as_float32(self._run(encoded.inputs)["logits"])[0])
        best = sorted(zip(self._labels, scores.tolist(), strict=True), key=lambda pair: -pair[1])
        labelled = [{"label": label, "score": score} for label, score in best]
        return labelled[0] if top_k == "best" else labelled[:count]

    def _chosen(self, name: object) -> Callable[[Floats], Floats]:
        # In any case, as the pipeline takes it.
        wanted = "default" if name is None else str(name).lower()
        if wanted == "default":
            wanted = self._function
        if wanted not in _FUNCTIONS:
            raise UsageError(
                f"no function_to_apply {name!r}; known: {', '.join(_FUNCTIONS)} and default, the model's own"
            )
        return _FUNCTIONS[wanted]
