"""fill-mask: the likeliest tokens for each mask of a text."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bertmobile.errors import UsageError
from bertmobile.tasks import Context, Task
from bertmobile.tasks.inputs import at_least_one
from bertmobile.tasks.numeric import Floats, as_float32, softmax, top_indices
from bertmobile.tokenization import Encoded


class FillMask(Task):
    """``logits`` are [1, slots, vocabulary] for the slots of ``mask_positions``, or [1, length, vocabulary]
    when the bundle has no slots."""

    name = "fill-mask"
    unwraps = True

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._tokenization = context.tokenization
        self._slots = context.manifest.mask_slots
        self._mask = context.manifest.tokenizer.special_tokens["mask"]
        self._pad_id = context.manifest.tokenizer.special_tokens["pad"].id
        self._position_dtype = {spec.name: spec.dtype for spec in context.manifest.inputs}.get(
            "mask_positions"
        )

    def answer(
        self,
        text: str,
        _: None = None,
        *,
        top_k: int | None = None,
        targets: str | Sequence[str] | None = None,
    ) -> list[Any]:
        """Fill the masks of a text, each on its own.

        Args:
            text: holds the mask token at least once.
            top_k: how many tokens for each mask; 5 by default.
            targets: consider these words only; a word that is not one token stands for its first piece,
                with a warning. Scores are still relative to the whole vocabulary.

        Returns:
            For one mask a list of ``{score, token, token_str, sequence}``, best first; for several masks a
            list of such lists.

        Raises:
            UsageError: no mask token in the text, or an option is wrong.
        """
        top_k = 5 if top_k is None else at_least_one("top_k", top_k)
        allowed = None if targets is None else self._target_ids(targets)
        encoded = self._tokenization.encode(text)
        positions = [index for index, token in enumerate(encoded.ids) if token == self._mask.id]
        if not positions:
            where = f"its first {len(encoded)} tokens" if encoded.dropped else "the text"
            raise UsageError(
                f"no mask token {self._mask.token} in {where}; put {self._mask.token} where a word is missing"
            )
        single = len(positions) == 1
        filled = [
            [
                self._proposal(encoded, position, token, score, single)
                for token, score in _best(scores, top_k, allowed)
            ]
            for position, scores in zip(positions, softmax(self._logits(encoded, positions)), strict=True)
        ]
        return filled[0] if single else filled

    def _logits(self, encoded: Encoded, positions: list[int]) -> Floats:
        """[masks, vocabulary], in as many runs as the slots make necessary."""
        if self._slots is None:
            return as_float32(self._run(encoded.inputs)["logits"])[0, positions]
        parts = []
        for begin in range(0, len(positions), self._slots):
            chunk = positions[begin : begin + self._slots]
            slots = np.zeros((1, self._slots), dtype=self._position_dtype)
            slots[0, : len(chunk)] = chunk
            outputs = self._run({**encoded.inputs, "mask_positions": slots})
            parts.append(as_float32(outputs["logits"])[0, : len(chunk)])
        return np.concatenate(parts)

    def _proposal(
        self, encoded: Encoded, position: int, token: int, score: float, single: bool
    ) -> dict[str, Any]:
        ids = [token if index == position else other for index, other in enumerate(encoded.ids)]
        # With several masks the others stay visible, and so do all special tokens.
        sequence = self._tokenization.decode(
            [other for other in ids if other != self._pad_id], skip_special_tokens=single
        )
        return {
            "score": score,
            "token": token,
            "token_str": self._tokenization.decode([token], skip_special_tokens=False),
            "sequence": sequence,
        }

    def _target_ids(self, targets: object) -> list[int]:
        words = [targets] if isinstance(targets, str) else targets
        if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
            raise UsageError("targets must be a string or a list of strings")
        found = set()
        for word in words:
            token = self._tokenization.token_id(word)
            if token is None:
                pieces = self._tokenization.token_ids(word)
                if not pieces:
                    continue
                token = pieces[0]
                warnings.warn(
                    f"target {word!r} is not one token of the vocabulary; "
                    f"{self._tokenization.token(token)!r} is scored instead",
                    stacklevel=2,
                )
            found.add(token)
        if not found:
            raise UsageError("targets holds no word; leave it out to consider the whole vocabulary")
        return sorted(found)


def _best(scores: Floats, count: int, allowed: list[int] | None) -> list[tuple[int, float]]:
    """(token, score) of the best tokens."""
    if allowed is None:
        return [(int(index), float(scores[index])) for index in top_indices(scores, count)]
    best = top_indices(scores[allowed], count)
    return [(allowed[index], float(scores[allowed[index]])) for index in best]
