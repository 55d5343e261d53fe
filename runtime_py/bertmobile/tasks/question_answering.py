"""question-answering: the part of a context that answers a question, as the classic pipeline finds it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.errors import UsageError
from bertmobile.tasks import Context, Task
from bertmobile.tasks.inputs import Fields, at_least_one
from bertmobile.tasks.numeric import Floats, as_float32, softmax, top_indices
from bertmobile.tokenization import Encoded

Inside = NDArray[np.bool_]
# Tokens of the longest answer that is looked for.
LONGEST_ANSWER = 15


class QuestionAnswering(Task):
    """``start_logits`` and ``end_logits`` are [1, length]."""

    name = "question-answering"
    fields = Fields(first="question", second="context", second_required=True)
    second = "context"
    unwraps = True

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization

    def __call__(self, inputs: object = None, **options: Any) -> Any:
        """Answer as :class:`Task`; a list of questions goes with one context, or with as many.

        Raises:
            UsageError: more questions than contexts, or fewer.
        """
        questions, context = options.get("question", inputs), options.get("context")
        if isinstance(questions, list) and context is not None:
            contexts = context if isinstance(context, list) else [context] * len(questions)
            if len(contexts) != len(questions):
                raise UsageError(f"{len(questions)} questions do not go with {len(contexts)} contexts")
            options = {name: value for name, value in options.items() if name not in self.fields.names}
            inputs = list(zip(questions, contexts, strict=True))
        return super().__call__(inputs, **options)

    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: int = 1,
        max_answer_len: int = LONGEST_ANSWER,
        doc_stride: int | None = None,
        handle_impossible_answer: bool = False,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Answer a question from a context of any length.

        Args:
            question: the question; must fit a run whole.
            context: the text that holds the answer.
            top_k: how many answers.
            max_answer_len: longest answer in tokens, before it is widened to whole words.
            doc_stride: tokens shared by neighbouring windows of a long context; by default 128, or less
                where the buckets are small.
            handle_impossible_answer: let "no answer" (an empty string) compete.

        Returns:
            ``{score, start, end, answer}`` for top_k 1, otherwise a list, best first; start and end are code
            points of the context. Equal answers are one, with the sum of their scores, so a score may
            exceed 1 where windows overlap.

        Raises:
            UsageError: an empty question, a context without words, or a wrong option.
        """
        top_k = at_least_one("top_k", top_k)
        max_answer_len = at_least_one("max_answer_len", max_answer_len)
        if not question:
            raise UsageError("the question is empty; ask something")
        answers: list[dict[str, Any]] = []
        by_text: dict[str, dict[str, Any]] = {}
        no_answer = np.inf
        for window in self._tokenization.windows(question, context, doc_stride):
            # [CLS] takes part in the softmax: its share is the score of "no answer" in this window.
            inside = np.array([index == 0 or text == 1 for index, text in enumerate(window.sequence_ids)])
            if not inside[1:].any():
                raise UsageError("the context holds no words; give the text that holds the answer")
            outputs = self._run(window.inputs)
            start = _probabilities(as_float32(outputs["start_logits"])[0], inside)
            end = _probabilities(as_float32(outputs["end_logits"])[0], inside)
            no_answer = min(no_answer, float(start[0] * end[0]))
            inside[0] = False
            # Widening to words makes answers equal: take more than are asked for.
            for first, last, score in _best_spans(start, end, inside, 2 * top_k + 10, max_answer_len):
                begin, stop = _word_start(window, first), _word_end(window, last)
                text = context[begin:stop]
                known = by_text.get(text.lower())
                if known is not None:
                    known["score"] += score
                    continue
                by_text[text.lower()] = {"score": score, "start": begin, "end": stop, "answer": text}
                answers.append(by_text[text.lower()])
        if handle_impossible_answer:
            answers.append({"score": no_answer, "start": 0, "end": 0, "answer": ""})
        answers.sort(key=lambda entry: entry["score"], reverse=True)
        return answers[0] if top_k == 1 else answers[:top_k]


def _probabilities(logits: Floats, inside: Inside) -> Floats:
    """Softmax over the tokens inside, zero elsewhere; the padding is cut off."""
    scores = np.zeros(inside.size, dtype=np.float32)
    scores[inside] = softmax(logits[: inside.size][inside])
    return scores


def spans(inside: Inside, longest: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the last token of each span of at most ``longest`` tokens inside."""
    first, last = np.nonzero(np.tril(np.triu(np.outer(inside, inside)), longest - 1))
    return first, last


def _best_spans(
    start: Floats, end: Floats, inside: Inside, count: int, longest: int
) -> list[tuple[int, int, float]]:
    """(first, last, score) of the best spans of at most ``longest`` tokens inside, best first."""
    first, last = spans(inside, longest)
    scores = start[first] * end[last]
    return [(int(first[best]), int(last[best]), float(scores[best])) for best in top_indices(scores, count)]


def _word_start(window: Encoded, index: int) -> int:
    """Where the word of a context token begins in the context, as far as this window shows it."""
    while (window.sequence_ids[index - 1], window.word_ids[index - 1]) == (1, window.word_ids[index]):
        index -= 1
    return window.offsets[index][0]


def _word_end(window: Encoded, index: int) -> int:
    """Where the word of a context token ends; the [SEP] after the context stops the search."""
    while (window.sequence_ids[index + 1], window.word_ids[index + 1]) == (1, window.word_ids[index]):
        index += 1
    return window.offsets[index][1]
