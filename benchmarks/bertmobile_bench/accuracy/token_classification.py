"""token-classification: entities found, as the shared tasks of CoNLL count them.

An entity is right if its first word, its last word and its type are. A word has the label of its first token;
a word that has no token counts as outside. ``flipped`` is the share of words with another
label.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile.tasks.token_classification import TokenClassification
from bertmobile_bench.accuracy.both import Both
from bertmobile_bench.accuracy.data.conll import Sentence, read_sentences
from bertmobile_bench.accuracy.data.files import DataSet
from bertmobile_bench.accuracy.data.labels import one_of
from bertmobile_bench.accuracy.entities import entities
from bertmobile_bench.accuracy.score import Score, ratio, score_columns
from bertmobile_bench.accuracy.task import Findings

OUTSIDE = "O"

# Of the columns that the data give (entities and words there are) and those that a model gives (entities
# told, right entities, words with the right tag).
_MEASURES: dict[str, Callable[..., Any]] = {
    "f1": lambda true, words, told, right, hits, axis: ratio(2 * right, true + told, axis),
    "precision": lambda true, words, told, right, hits, axis: ratio(right, told, axis),
    "recall": lambda true, words, told, right, hits, axis: ratio(right, true, axis),
    "accuracy": lambda true, words, told, right, hits, axis: ratio(hits, words, axis),
}


def measures(manifest: Manifest) -> tuple[str, ...]:
    """What CoNLL's script prints: F1, precision and recall of entities, and accuracy of words."""
    return tuple(_MEASURES)


def read(path: Path, manifest: Manifest, limit: int | None) -> DataSet[Sentence]:
    """Sentences as words with tags of the model."""
    return read_sentences(path, one_of(manifest.labels, "tag"), limit=limit)


def score(both: Both, examples: Sequence[Sentence], measures: tuple[str, ...]) -> Findings:
    """Tag all sentences with both models."""
    names = both.model.manifest.labels
    true = [[names[tag] for tag in sentence.tags] for sentence in examples]
    if measures != ("accuracy",) and not any(map(entities, true)):
        raise UsageError("the data hold no entity; give sentences that have some, or take --measure accuracy")
    for sentence in examples:
        both.check(sentence.place, sentence.text)
    reference, bundle = zip(*both.ask(TokenClassification, tags, examples), strict=True)
    there = np.array([[len(entities(sentence)), len(sentence)] for sentence in true], dtype=np.float64).T
    words = int(there[1].sum())
    changed = sum(map(_differences, reference, bundle))

    def scored(name: str) -> Score:
        return score_columns(
            name,
            _MEASURES[name],
            there,
            _found(true, reference),
            _found(true, bundle),
            unit="percentage points",
            flipped=changed / words,
            count=words,
        )

    return Findings(tuple(map(scored, measures)), cut=0)


def tags(task: TokenClassification, sentence: Sentence) -> list[str]:
    """A label for each word of a sentence: that of its first token."""
    begins = list(accumulate((len(word) + 1 for word in sentence.words[:-1]), initial=0))
    found: dict[int, str] = {}
    for token in task.answer(sentence.text, ignore_labels=()):
        found.setdefault(bisect_right(begins, token["start"]) - 1, token["entity"])
    return [found.get(number, OUTSIDE) for number in range(len(sentence.words))]


def _differences(one: Sequence[str], other: Sequence[str]) -> int:
    """Number of words with different tags."""
    return sum(a != b for a, b in zip(one, other, strict=True))


def _found(true: Sequence[Sequence[str]], told: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """[3, sentences]: entities told, those of them that are right, and words with the right tag."""
    rows = [
        (len(entities(b)), len(entities(a) & entities(b)), len(a) - _differences(a, b))
        for a, b in zip(true, told, strict=True)
    ]
    return np.array(rows, dtype=np.float64).T
