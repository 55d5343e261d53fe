"""Questions about a context, with the answers that people gave."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertmobile.errors import UsageError
from bertmobile_bench.accuracy.data.files import JSON_LINES, DataSet, Format, Row, Rows, read_examples


@dataclass(frozen=True)
class Question:
    """A question, the text that answers it, and one or more right answers, each a part of that text."""

    place: str
    question: str
    context: str
    answers: tuple[str, ...]


def read_questions(path: Path, *, limit: int | None = None) -> DataSet[Question]:
    """Read questions: ``.json`` in the layout of SQuAD 1.1, or ``.jsonl``.

    SQuAD's file (https://rajpurkar.github.io/SQuAD-explorer/) is one object with data, paragraphs and qas.
    A JSON line has ``question``, ``context`` and ``answers``, which may be strings, objects with ``text``,
    or an object with a list ``text``, as Hugging Face's copy of SQuAD writes them.

    Args:
        path: UTF-8, with or without a byte order mark.
        limit: take only so many, spread evenly over the file.

    Raises:
        UsageError: the file or a question of it cannot be used; names the file, the place and the remedy.
    """

    def question(row: Row, number: int, place: str) -> Question:
        if isinstance(row.get("id"), str):
            place = f"{path} question {row['id']}"
        for name in ("question", "context"):
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise UsageError(f"{place} has no {name}; give one as a string")
        answers = tuple(_answers(row.get("answers")))
        if not answers:
            raise UsageError(
                f"{place} has no answer; give one or more, and leave out what cannot be answered (SQuAD 2.0)"
            )
        for answer in answers:
            if not isinstance(answer, str) or not answer or answer not in row["context"]:
                raise UsageError(
                    f"{place}: the answer {json.dumps(answer)[:60]} is not in the context; "
                    "an answer must be a part of it, letter by letter"
                )
        return Question(place.removeprefix(f"{path} "), row["question"], row["context"], answers)

    return read_examples(path, _FORMATS, question, limit=limit)


def _answers(found: Any) -> Iterator[Any]:
    if isinstance(found, dict):
        found = found.get("text")
    for answer in found if isinstance(found, list) else []:
        yield answer.get("text") if isinstance(answer, dict) else answer


def _squad(content: str, path: Path) -> Rows:
    try:
        articles = json.loads(content)["data"]
        questions = [
            {**entry, "context": paragraph["context"]}
            for article in articles
            for paragraph in article["paragraphs"]
            for entry in paragraph["qas"]
        ]
    except ValueError as failure:
        raise UsageError(f"{path} is not JSON ({failure}); give SQuAD's file") from failure
    except (TypeError, KeyError) as failure:
        raise UsageError(
            f"{path} is not in SQuAD's layout ({failure}); give an object with data, paragraphs and qas, or "
            "name a file of objects with question, context and answers .jsonl"
        ) from failure
    yield from enumerate(questions, start=1)


_FORMATS = {
    ".json": Format("an object in SQuAD's layout", _squad, counted="question"),
    ".jsonl": JSON_LINES,
}
