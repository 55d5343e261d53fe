"""token-classification: labels of tokens, or of the words and phrases that they form."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertmobile.errors import UsageError
from bertmobile.tasks import Context
from bertmobile.tasks.inputs import Fields
from bertmobile.tasks.numeric import Floats, as_float32, softmax
from bertmobile.tokenization import Encoded


@dataclass(frozen=True)
class _Token:
    """A token that is not special; ``continues`` when it belongs to the word before it."""

    word: str
    scores: Floats
    start: int
    end: int
    index: int
    continues: bool


@dataclass(frozen=True)
class _Labelled:
    """A token or a word with the label it was given."""

    label: str
    score: np.float32
    word: str
    start: int
    end: int

    @property
    def tag(self) -> str:
        return self.label[2:] if self.label.startswith(("B-", "I-")) else self.label


def _first(scores: list[Floats]) -> Floats:
    return scores[0]


def _average(scores: list[Floats]) -> Floats:
    mean: Floats = np.stack(scores).mean(axis=0)
    return mean


def _max(scores: list[Floats]) -> Floats:
    return max(scores, key=lambda token: token.max())


# strategy -> the scores of a word from those of its tokens, or None when tokens count each on its own
_STRATEGIES: dict[str, Callable[[list[Floats]], Floats] | None] = {
    "none": None,
    "simple": None,
    "first": _first,
    "average": _average,
    "max": _max,
}


class TokenClassification:
    """``logits`` are [1, length, labels]."""

    fields = Fields()

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization
        self._labels = context.manifest.labels
        self._unknown_id = context.manifest.tokenizer.special_tokens["unk"].id

    def answer(
        self,
        text: str,
        _: None = None,
        *,
        aggregation_strategy: str = "none",
        ignore_labels: Sequence[str] = ("O",),
    ) -> list[dict[str, Any]]:
        """Find the entities of a text.

        Args:
            text: the text.
            aggregation_strategy: ``none`` gives each token; ``simple`` joins neighbouring tokens of one
                label; ``first``, ``average`` and ``max`` first give each word one label: that of its first
                token, of its mean scores, or of its surest token.
            ignore_labels: labels to leave out.

        Returns:
            ``{entity, score, index, word, start, end}`` for ``none``, otherwise
            ``{entity_group, score, word, start, end}``; start and end are code points of the text.

        Raises:
            UsageError: an option is wrong.
        """
        if aggregation_strategy not in _STRATEGIES:
            raise UsageError(
                f"no aggregation_strategy {aggregation_strategy!r}; known: {', '.join(_STRATEGIES)}"
            )
        if isinstance(ignore_labels, str):
            raise UsageError("ignore_labels must be a list of labels, not a string")
        encoded = self._tokenization.encode(text)
        tokens = self._tokens(encoded, softmax(as_float32(self._run(encoded.inputs)["logits"])[0]))
        if aggregation_strategy == "none":
            found = [self._entity(token) for token in tokens]
            return [entity for entity in found if entity["entity"] not in ignore_labels]
        word_scores = _STRATEGIES[aggregation_strategy]
        if word_scores is None:
            units = [self._label(token.scores, token.word, [token]) for token in tokens]
        else:
            units = [
                self._label(
                    word_scores([token.scores for token in word]),
                    self._tokenization.join([token.word for token in word]),
                    word,
                )
                for word in _words(tokens)
            ]
        groups = [self._group(units) for units in _phrases(units)]
        return [group for group in groups if group["entity_group"] not in ignore_labels]

    def _tokens(self, encoded: Encoded, scores: Floats) -> list[_Token]:
        tokens = []
        for index, token_id in enumerate(encoded.ids):
            if encoded.special_tokens_mask[index]:
                continue
            start, end = encoded.offsets[index]
            unknown = token_id == self._unknown_id
            word = encoded.text[start:end] if unknown else self._tokenization.token(token_id)
            # The rule of the reference: a token as long as its text starts a word, since "##" makes a
            # continuation longer. (Text that normalisation shortens counts as a continuation too.)
            continues = not unknown and len(word) != end - start
            tokens.append(_Token(word, scores[index], start, end, index, continues))
        return tokens

    def _entity(self, token: _Token) -> dict[str, Any]:
        best = int(token.scores.argmax())
        return {
            "entity": self._labels[best],
            "score": float(token.scores[best]),
            "index": token.index,
            "word": token.word,
            "start": token.start,
            "end": token.end,
        }

    def _label(self, scores: Floats, word: str, tokens: list[_Token]) -> _Labelled:
        best = int(scores.argmax())
        return _Labelled(self._labels[best], scores[best], word, tokens[0].start, tokens[-1].end)

    def _group(self, units: list[_Labelled]) -> dict[str, Any]:
        return {
            "entity_group": units[0].label.split("-", 1)[-1],
            "score": float(np.mean([unit.score for unit in units])),
            "word": self._tokenization.join([unit.word for unit in units]),
            "start": units[0].start,
            "end": units[-1].end,
        }


def _words(tokens: Iterable[_Token]) -> list[list[_Token]]:
    words: list[list[_Token]] = []
    for token in tokens:
        if token.continues and words:
            words[-1].append(token)
        else:
            words.append([token])
    return words


def _phrases(units: Iterable[_Labelled]) -> list[list[_Labelled]]:
    """Neighbours of one tag; a "B-" label always begins a new phrase."""
    phrases: list[list[_Labelled]] = []
    for unit in units:
        if phrases and unit.tag == phrases[-1][-1].tag and not unit.label.startswith("B-"):
            phrases[-1].append(unit)
        else:
            phrases.append([unit])
    return phrases
