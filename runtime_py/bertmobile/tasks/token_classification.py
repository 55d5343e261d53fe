"""token-classification: labels of tokens, or of the words and phrases that they form."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertmobile.errors import UsageError
from bertmobile.tasks import Context, Task
from bertmobile.tasks.numeric import Floats, as_float32, softmax
from bertmobile.tokenization import Encoded


@dataclass(frozen=True)
class _Token:
    """A token that is not special.

    ``index`` counts the tokens of the whole text, [CLS] included. ``piece`` marks a token that goes on with a
    word, ``text_word`` is the number of its word in the text.
    """

    word: str
    scores: Floats
    start: int
    end: int
    index: int
    piece: bool
    text_word: int | None

    def continues(self, last: "_Token") -> bool:
        """Whether it belongs to the same word as the token before it.

        The reference goes by lengths: a token as long as its text starts a word. That takes a word whose
        letters are decomposed, or that holds a soft hyphen, for a part of the word before it.
        """
        return self.piece and self.text_word == last.text_word


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


# What WordPiece puts before a token that goes on with a word.
_CONTINUATION = "##"


class TokenClassification(Task):
    """``logits`` are [1, length, labels]."""

    name = "token-classification"

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization
        self._labels = context.manifest.labels
        self._unknown_id = context.manifest.tokenizer.special_tokens["unk"].id

    def __call__(self, inputs: object = None, **options: Any) -> Any:
        """Answer as :class:`Task`; the words of one text are a list of one input."""
        if {**self.defaults, **options}.get("is_split_into_words") and isinstance(inputs, list):
            inputs = inputs if all(isinstance(item, list) for item in inputs) else [inputs]
        return super().__call__(inputs, **options)

    def _one(self, item: object, options: Mapping[str, Any]) -> Any:
        if not options.get("is_split_into_words"):
            return super()._one(item, options)
        if not isinstance(item, list):
            raise UsageError("with is_split_into_words the task takes a list of words, or a list of such")
        return self.answer(item, **options)

    def answer(
        self,
        text: str | list[str],
        _: None = None,
        *,
        aggregation_strategy: str | None = "none",
        ignore_labels: Sequence[str] | None = ("O",),
        stride: int | None = None,
        is_split_into_words: bool = False,
        delimiter: str | None = " ",
    ) -> list[dict[str, Any]]:
        """Find the entities of a text of any length.

        A text that does not fit the longest bucket is read in windows. Each token is judged in the window
        that shows most of what is around it, and words and entities are formed of the whole text. With
        ``stride``, entities are formed in each window and put together as the pipeline does it: of those
        that overlap the longest counts, and the surest of equally long ones.

        Args:
            text: the text, or its words as a list.
            aggregation_strategy: ``none`` gives each token; ``simple`` joins neighbouring tokens of one
                label; ``first``, ``average`` and ``max`` first give each word one label: that of its first
                token, of its mean scores, or of its surest token.
            ignore_labels: labels to leave out; ``["O"]`` by default.
            stride: tokens shared by neighbouring windows; by default 128, or less where the buckets are
                small.
            is_split_into_words: whether the text is a list of words.
            delimiter: what stands between these words in the text that start and end refer to.

        Returns:
            ``{entity, score, index, word, start, end}`` for ``none``, otherwise
            ``{entity_group, score, word, start, end}``; start and end are code points of the text, and index
            is the token's, counted from [CLS] through the whole text.

        Raises:
            UsageError: an option is wrong.
        """
        strategy = str(aggregation_strategy or "none").lower()
        if strategy not in _STRATEGIES:
            raise UsageError(
                f"no aggregation_strategy {aggregation_strategy!r}; known: {', '.join(_STRATEGIES)}"
            )
        ignored = ("O",) if ignore_labels is None else ignore_labels
        if isinstance(ignored, str):
            raise UsageError("ignore_labels must be a list of labels, not a string")
        if isinstance(text, list) != bool(is_split_into_words):
            raise UsageError("a list of words goes with is_split_into_words, and nothing else does")
        delimiter = " " if delimiter is None else delimiter
        if not isinstance(delimiter, str):
            raise UsageError(f"delimiter must be a string, not {delimiter!r}")
        windows = [
            self._tokens(window, softmax(as_float32(self._run(window.inputs)["logits"])[0]))
            for window in self._tokenization.parts(text, stride=stride, delimiter=delimiter)
        ]
        if strategy == "none":
            found = [self._entity(token) for token in _each_once(windows)]
            return [entity for entity in found if entity["entity"] not in ignored]
        texts = [_each_once(windows)] if stride is None else windows
        groups = [
            group
            for tokens in texts
            for group in self._groups(tokens, strategy)
            if group["entity_group"] not in ignored
        ]
        return _without_overlaps(groups) if len(texts) > 1 else groups

    def _groups(self, tokens: list[_Token], strategy: str) -> list[dict[str, Any]]:
        word_scores = _STRATEGIES[strategy]
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
        return [self._group(units) for units in _phrases(units)]

    def _tokens(self, encoded: Encoded, scores: Floats) -> list[_Token]:
        tokens = []
        for index, token_id in enumerate(encoded.ids):
            if encoded.special_tokens_mask[index]:
                continue
            start, end = encoded.offsets[index]
            unknown = token_id == self._unknown_id
            word = encoded.text[start:end] if unknown else self._tokenization.token(token_id)
            piece = not unknown and word.startswith(_CONTINUATION)
            place = encoded.begin + index
            tokens.append(_Token(word, scores[index], start, end, place, piece, encoded.word_ids[index]))
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


def _each_once(windows: list[list[_Token]]) -> list[_Token]:
    """The tokens of a text, each from the window in which it is farthest from an edge."""
    tokens: list[_Token] = []
    for window in windows:
        if tokens and window:
            shared = tokens[-1].index + 1 - window[0].index
            tokens[len(tokens) - shared // 2 :] = window[shared - shared // 2 :]
        else:
            tokens += window
    return tokens


def _without_overlaps(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for group in sorted(groups, key=lambda group: group["start"]):
        if not kept or not kept[-1]["start"] <= group["start"] < kept[-1]["end"]:
            kept.append(group)
        elif _weight(group) > _weight(kept[-1]):
            kept[-1] = group
    return kept


def _weight(group: dict[str, Any]) -> tuple[int, float]:
    return group["end"] - group["start"], group["score"]


def _words(tokens: Iterable[_Token]) -> list[list[_Token]]:
    words: list[list[_Token]] = []
    for token in tokens:
        if words and token.continues(words[-1][-1]):
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
