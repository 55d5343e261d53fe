"""question-answering: exact match and F1 of words, as SQuAD counts them.

``flipped`` is the share of questions whose answer, once it is normalized, is another one.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bertmobile.manifest import Manifest
from bertmobile.tasks.question_answering import QuestionAnswering
from bertmobile_bench.accuracy.answers import exact_match, f1, normalized
from bertmobile_bench.accuracy.both import Both, at
from bertmobile_bench.accuracy.data.files import DataSet
from bertmobile_bench.accuracy.data.squad import Question, read_questions
from bertmobile_bench.accuracy.score import Score, score_columns, score_shares
from bertmobile_bench.accuracy.task import Findings


def measures(manifest: Manifest) -> tuple[str, ...]:
    """SQuAD's two."""
    return ("exact-match", "f1")


def read(path: Path, manifest: Manifest, limit: int | None) -> DataSet[Question]:
    """Questions with a context that holds the answers."""
    return read_questions(path, limit=limit)


def score(both: Both, examples: Sequence[Question], measures: tuple[str, ...]) -> Findings:
    """Answer all questions with both models, from the same windows of the context."""
    for example in examples:
        _check_tokens(both, example)

    def answer(task: QuestionAnswering, example: Question) -> str:
        best = task.answer(example.question, example.context)
        assert isinstance(best, dict)
        return str(best["answer"])

    answers = both.ask(QuestionAnswering, answer, examples)
    flipped = float(np.mean([normalized(one) != normalized(other) for one, other in answers]))

    def scored(name: str) -> Score:
        count = exact_match if name == "exact-match" else f1
        reference, bundle = np.array(
            [
                [count(told, example.answers) for told in pair]
                for pair, example in zip(answers, examples, strict=True)
            ]
        ).T
        if name == "exact-match":
            return score_shares(name, reference, bundle, flipped=flipped)
        return score_columns(
            name, np.mean, [], [reference], [bundle], unit="percentage points", flipped=flipped
        )

    return Findings(tuple(map(scored, measures)), cut=0)


def _check_tokens(both: Both, example: Question) -> None:
    """Nothing is cut: a context that is too long has several windows, made by the runtime for both models.

    Raises:
        UsageError: the question is too long, or a text is not valid Unicode.
        ParityError: the bundle's tokens are not those of the reference's tokenizer.
    """
    with at(example.place):
        both.tokenization.windows(example.question, example.context)
    both.check(example.place, example.question, example.context)
