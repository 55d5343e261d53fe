"""fill-mask: pseudo-perplexity, and how often the masked token is among the likeliest.

Salazar, Liang, Nguyen and Kirchhoff, "Masked Language Model Scoring", ACL 2020, https://arxiv.org/abs/1910.14659:
each token of a text is masked in turn, alone, in a run of its own with all others in sight, and
PPPL = exp(-mean log p(true token)) over the tokens of all texts. The special tokens at the ends do not count.

``flipped`` is the share of masks whose likeliest token is another one.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile import Model
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile.tokenization import Encoded
from bertmobile_bench.accuracy.both import Both, side_by_side
from bertmobile_bench.accuracy.data.files import DataSet
from bertmobile_bench.accuracy.data.texts import Example, read_texts
from bertmobile_bench.accuracy.guess import Guess, guess
from bertmobile_bench.accuracy.reference import Source
from bertmobile_bench.accuracy.score import Score, ratio, score_columns
from bertmobile_bench.accuracy.task import Findings

_TOP = {"top-1": 1, "top-5": 5}


def measures(manifest: Manifest) -> tuple[str, ...]:
    """Pseudo-perplexity, and the share of masks whose token is among the one or five likeliest."""
    return ("pseudo-perplexity", *_TOP)


def read(path: Path, manifest: Manifest, limit: int | None) -> DataSet[Example]:
    """Texts; they need no labels."""
    return read_texts(path, None, limit=limit)


def score(
    both: Both,
    examples: Sequence[Example],
    measures: tuple[str, ...],
    *,
    masks_per_text: int | None = None,
    seed: int = 0,
) -> Findings:
    """Guess masked tokens with both models.

    Args:
        masks_per_text: most tokens of a text to mask, chosen by chance; None for all.
        seed: of that choice, which depends on nothing else but the text's line: another bundle is asked the
            same.

    Raises:
        UsageError: a text has no token, or holds the mask token itself.
    """
    mask_id = both.model.manifest.tokenizer.special_tokens["mask"].id
    texts = [both.encode(example.text, example.pair, example.place) for example in examples]
    chosen = [
        (text, _positions(text, example.line, mask_id, masks_per_text, seed))
        for text, example in zip(texts, examples, strict=True)
    ]
    total = sum(len(positions) for _, positions in chosen)

    def guesses(item: tuple[Encoded, list[int]]) -> list[tuple[Guess, Guess]]:
        text, positions = item
        return [
            (
                _reference_guess(both.source, text, place, mask_id),
                _bundle_guess(both.model, text, place, mask_id),
            )
            for place in positions
        ]

    found: list[list[tuple[Guess, Guess]]] = []
    done = 0
    for pairs in side_by_side(guesses, chosen):
        found.append(pairs)
        done += len(pairs)
        both.progress(done, total)
    flipped = sum(reference.best != bundle.best for pairs in found for reference, bundle in pairs) / total
    masks = np.array([len(pairs) for pairs in found], dtype=np.float64)

    def scored(name: str) -> Score:
        reference, bundle = (
            np.array([sum(_gain(name, pair[side]) for pair in pairs) for pairs in found]) for side in (0, 1)
        )
        perplexity = name == "pseudo-perplexity"
        return score_columns(
            name,
            _perplexity if perplexity else _share,
            [masks],
            [reference],
            [bundle],
            unit="percent" if perplexity else "percentage points",
            flipped=flipped,
            count=total,
        )

    return Findings(tuple(map(scored, measures)), cut=sum(text.dropped > 0 for text in texts))


def _gain(measure: str, found: Guess) -> float:
    """What one guess adds to the sum of its text."""
    return float(found.rank < _TOP[measure]) if measure in _TOP else found.surprise


def _share(masks: NDArray[Any], right: NDArray[Any], axis: int) -> Any:
    return ratio(right, masks, axis)


def _perplexity(masks: NDArray[Any], surprise: NDArray[Any], axis: int) -> Any:
    return np.exp(ratio(surprise, masks, axis))


def _positions(text: Encoded, line: int, mask_id: int, most: int | None, seed: int) -> list[int]:
    positions = [i for i, special in enumerate(text.special_tokens_mask) if not special]
    if not positions:
        raise UsageError(f"line {line} of the data has no token that the model knows how to mask; remove it")
    if mask_id in text.ids:
        raise UsageError(
            f"line {line} of the data holds the mask token; give whole texts, they are masked here"
        )
    if most is None or most >= len(positions):
        return positions
    return sorted(Random(f"{seed} {line}").sample(positions, most))


def _reference_guess(source: Source, text: Encoded, position: int, mask_id: int) -> Guess:
    masked = np.array([text.ids], dtype=np.int64)
    masked[0, position] = mask_id
    types = text.inputs["token_type_ids"][0, : len(text)]
    return source.guess(tuple(text.ids), tuple(types.tolist()), position, masked)


def _bundle_guess(model: Model, text: Encoded, position: int, mask_id: int) -> Guess:
    inputs = dict(text.inputs)
    inputs["input_ids"] = inputs["input_ids"].copy()
    inputs["input_ids"][0, position] = mask_id
    row = position
    if slots := model.manifest.mask_slots:
        # One mask in a run: a second one would hide a token that the first may see. All slots ask for it.
        inputs["mask_positions"] = np.full((1, slots), position, dtype=inputs["input_ids"].dtype)
        row = 0
    return guess(model.run(inputs)["logits"][0, row], text.ids[position])
