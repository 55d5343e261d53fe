"""fill-mask: pseudo-perplexity.

Salazar, Liang, Nguyen and Kirchhoff, "Masked Language Model Scoring", ACL 2020, https://arxiv.org/abs/1910.14659:
each token of a text is masked in turn, alone, in a run of its own with all others in sight, and
PPPL = exp(-mean log p(true token)) over the tokens of all texts. The special tokens at the ends do not count.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile import Model
from bertmobile.errors import UsageError
from bertmobile_bench.accuracy.reference import Source
from bertmobile_bench.accuracy.score import Guess, Score, guess
from bertmobile_bench.accuracy.tokens import Text, side_by_side
from bertmobile_bench.interval import paired_bootstrap


def score(
    model: Model,
    source: Source,
    texts: Sequence[Text],
    progress: Callable[[int, int], None],
    *,
    masks_per_text: int | None = None,
    seed: int = 0,
) -> Score:
    """Guess masked tokens with both models.

    Args:
        texts: at least two.
        progress: called with the number of masks done and their total.
        masks_per_text: most tokens of a text to mask, chosen by chance; None for all.
        seed: of that choice, which depends on nothing else but the text's line: another bundle is asked the
            same.

    Raises:
        UsageError: a text has no token, or holds the mask token itself.
    """
    mask_id = model.manifest.tokenizer.special_tokens["mask"].id
    chosen = [_positions(text, mask_id, masks_per_text, seed) for text in texts]
    total = sum(map(len, chosen))

    def guesses(item: tuple[Text, list[int]]) -> list[tuple[Guess, Guess]]:
        text, positions = item
        return [
            (_reference_guess(source, text, place, mask_id), _bundle_guess(model, text, place, mask_id))
            for place in positions
        ]

    sums, flipped, done = [], 0, 0
    for pairs in side_by_side(guesses, list(zip(texts, chosen, strict=True))):
        sums.append([sum(reference.surprise for reference, _ in pairs),
                     sum(bundle.surprise for _, bundle in pairs), len(pairs)])  # fmt: skip
        flipped += sum(reference.best != bundle.best for reference, bundle in pairs)
        done += len(pairs)
        progress(done, total)
    columns = np.array(sums, dtype=np.float64)
    reference, bundle = np.exp(columns[:, :2].sum(axis=0) / total).tolist()
    more = columns[:, 1] - columns[:, 0]
    return Score(
        measure="pseudo-perplexity",
        count=total,
        reference=reference,
        bundle=bundle,
        change=float(_relative_change(more, columns[:, 2])),
        unit="percent",
        interval=paired_bootstrap((more, columns[:, 2]), _relative_change),
        flipped=flipped / total,
    )


def _relative_change(more: NDArray[Any], masks: NDArray[Any], axis: int = -1) -> NDArray[Any]:
    """In percent, from how much more surprised the bundle is by each text, and the masks of each text."""
    change: NDArray[Any] = 100 * np.expm1(more.sum(axis=axis) / masks.sum(axis=axis))
    return change


def _positions(text: Text, mask_id: int, most: int | None, seed: int) -> list[int]:
    line = text.example.line
    positions = [i for i, special in enumerate(text.encoded.special_tokens_mask) if not special]
    if not positions:
        raise UsageError(f"line {line} of the data has no token that the model knows how to mask; remove it")
    if mask_id in text.ids:
        raise UsageError(
            f"line {line} of the data holds the mask token; give whole texts, they are masked here"
        )
    if most is None or most >= len(positions):
        return positions
    return sorted(Random(f"{seed} {line}").sample(positions, most))


def _reference_guess(source: Source, text: Text, position: int, mask_id: int) -> Guess:
    masked = np.array([text.ids], dtype=np.int64)
    masked[0, position] = mask_id
    return source.guess(text.ids, text.types, position, masked)


def _bundle_guess(model: Model, text: Text, position: int, mask_id: int) -> Guess:
    inputs = dict(text.encoded.inputs)
    inputs["input_ids"] = inputs["input_ids"].copy()
    inputs["input_ids"][0, position] = mask_id
    row = position
    if slots := model.manifest.mask_slots:
        # One mask in a run: a second one would hide a token that the first may see. All slots ask for it.
        inputs["mask_positions"] = np.full((1, slots), position, dtype=inputs["input_ids"].dtype)
        row = 0
    return guess(model.run(inputs)["logits"][0, row], text.ids[position])
