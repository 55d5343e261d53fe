"""next-sentence: does the second text follow the first?"""

from typing import Any

from bertmobile.tasks import Context, Task
from bertmobile.tasks.inputs import Fields
from bertmobile.tasks.numeric import as_float32, softmax

LABELS = ("is_next", "not_next")  # in the order of BERT's own head


class NextSentence(Task):
    """``logits`` are [1, 2]."""

    name = "next-sentence"
    fields = Fields(second="text_pair", second_required=True)

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization

    def answer(self, text: str, pair: str) -> dict[str, Any]:
        """Judge a pair: ``{label, score}`` with the likelier of ``is_next`` and ``not_next``."""
        encoded = self._tokenization.encode(text, pair)
        scores = softmax(as_float32(self._run(encoded.inputs)["logits"])[0])
        best = int(scores.argmax())
        return {"label": LABELS[best], "score": float(scores[best])}
