"""text-classification: the labels of a text or a pair of texts."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from bertmobile.errors import UsageError
from bertmobile.tasks import Context, Task
from bertmobile.tasks.inputs import Fields, always, at_least_one
from bertmobile.tasks.numeric import Floats, as_float32, sigmoid, softmax
from bertmobile.tasks.zero_shot_classification import ZeroShotClassification

_FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": lambda logits: logits,
}


class BestLabel(list[dict[str, Any]]):
    """What a string is answered with: the pipeline's list of one dictionary, whose keys it has too.

    ``model(text)["score"]`` is ``model(text)[0]["score"]``, as a pair's answer is read.
    """

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(0)[key] if isinstance(key, str) else super().__getitem__(key)


class TextClassification(Task):
    """``logits`` are [1, labels]."""

    name = "text-classification"
    fields = Fields(second="text_pair")
    second = "candidate_labels"

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization
        self._labels = context.manifest.labels
        self._function = str(context.manifest.function_to_apply)
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
        return BestLabel([answer]) if isinstance(inputs, str) and "top_k" not in options else answer

    def answer(
        self,
        text: str,
        pair: str | None = None,
        *,
        top_k: int | Literal["best"] | None = "best",
        function_to_apply: str | None = None,
        truncation: bool = True,
        max_length: int | None = None,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Label a text or a pair.

        Args:
            text: the text.
            pair: the second text, for models trained on pairs.
            top_k: ``"best"`` for the best label as one dictionary; a number for a list of so many, best
                first; None for a list of all.
            function_to_apply: what makes scores of the model's outputs: ``softmax``, ``sigmoid`` or ``none``;
                by default (None or ``default``) what the manifest says.
            truncation: only True: what does not fit is dropped.
            max_length: a shorter limit than the longest bucket's, in tokens with the special ones.

        Returns:
            ``{label, score}``.

        Raises:
            UsageError: an option is wrong.
        """
        count = None if top_k in ("best", None) else at_least_one("top_k", top_k)
        apply = self._chosen(function_to_apply)
        always("truncation", truncation)
        if max_length is not None:
            at_least_one("max_length", max_length)
        encoded = self._tokenization.encode(text, pair, max_length=max_length)
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
