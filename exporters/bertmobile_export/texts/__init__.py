"""Texts to compare and calibrate with: built-in ones of our own writing, or a file of the user's.

``parity.txt`` and ``calibration.txt`` hold documents, one sentence a line; they share no sentence and no
topic, so that a model is never judged on what its ranges were chosen from. ``sentences.txt`` are single
sentences with as many different words as they can hold, on none of parity's topics either.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from random import Random
from typing import Literal

from tokenizers import Tokenizer

from bertmobile.errors import UsageError
from bertmobile_export.recipes import Recipe

# At least 128 texts in all and 16 for each bucket are what the parity contract asks for.
TOTAL = 128
PER_BUCKET = 16
# A share of labels that may change is too rare an event for 128 texts: 1 % would be one of them, or none.
SHARE_TOTAL = 512
CALIBRATION_TOTAL = 256
# Passages that are tried for a text of a bucket's length.
ATTEMPTS = 50
PAIR_TASKS = ("next-sentence", "question-answering")
# A file of the user's is sampled down to this many texts.
LARGEST_FILE = 2_000


Corpus = Literal["parity", "calibration"]


@dataclass(frozen=True)
class Sample:
    """One text, or a pair, as a task takes it; ``prompt`` is put before the text."""

    text: str
    pair: str | None = None
    prompt: str = ""


@dataclass(frozen=True)
class TextSet:
    """Samples and where they come from; the texts of a user are only ever recorded as this hash and count."""

    samples: tuple[Sample, ...]
    source: Literal["builtin", "file"]
    sentences: tuple[Sample, ...] = ()
    """More samples, for the rounding of weights: it needs many words, where ranges need all lengths."""

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for sample in self.samples:
            digest.update(f"{sample.prompt}{sample.text}\0{sample.pair or ''}\n".encode())
        return digest.hexdigest()

    def with_prompts(self, prompts: Sequence[str]) -> "TextSet":
        """These texts, and some of them again under each of a model's prompts in turn.

        Args:
            prompts: what is put before a text; none and empty ones change nothing.
        """
        distinct = list(dict.fromkeys(prompt for prompt in prompts if prompt))
        if not distinct:
            return self
        step = max(1, len(self.samples) // PER_BUCKET)
        again = [
            replace(sample, prompt=distinct[index % len(distinct)])
            for index, sample in enumerate(self.samples[::step])
        ]
        return replace(self, samples=(*self.samples, *again))


def parity_total(recipe: Recipe) -> int:
    """How many built-in texts, at least, a bundle of a recipe is compared on."""
    return SHARE_TOTAL if "flip_share" in recipe.parity else TOTAL


def builtin_texts(
    corpus: Corpus,
    task: str,
    tokenizer: Tokenizer,
    lengths: Sequence[int],
    *,
    mask_token: str,
    mask_slots: int | None,
    total: int | None = None,
) -> TextSet:
    """Texts of every length, each in the bucket it is meant for.

    Args:
        corpus: which of the two built-in sets.
        task: Hugging Face task name: decides on pairs and masks.
        tokenizer: the model's, without truncation and padding.
        lengths: the buckets, ascending.
        mask_token: such as ``[MASK]``.
        mask_slots: most masks in a text; any number when None.
        total: how many at least; the usual number of the corpus when None.
    """
    sentences = _sentences(corpus)
    total = total or (TOTAL if corpus == "parity" else CALIBRATION_TOTAL)
    count = max(-(-total // len(lengths)), PER_BUCKET)

    def sample(start: int, goal: int, shortest: int, length: int) -> Sample:
        """A text in the bucket of ``length``, as near to ``goal`` tokens as one can be had."""
        index = len(samples)
        again = None
        for attempt in range(ATTEMPTS):
            cut = (start + attempt) % len(sentences)
            passage = sentences[cut:] + sentences[:cut]
            # Words are not cut and a mask counts less than most words: a text may come out too short. The
            # shortest may have been there before, such as a mask alone.
            for tokens in range(goal, length + 1):
                made = _for_task(_fit(passage, tokens, task, tokenizer), task, index, mask_token, mask_slots)
                if shortest < len(tokenizer.encode(made.text, made.pair)) <= length:
                    if made not in samples:
                        return made
                    again = made
        return again or made  # hardly any text fits such a bucket, and a longer one will be truncated

    samples: list[Sample] = []
    shortest = 0
    for length in lengths:
        for i in range(count):
            # Spread over the corpus, and over the token counts that belong to this bucket.
            start = i * len(sentences) // count
            goal = shortest + 1 + (i + 1) * (length - shortest - 1) // count
            samples.append(sample(start, goal, shortest, length))
        shortest = length
    return TextSet(
        tuple(samples), "builtin", _single(task, mask_token, mask_slots) if corpus == "calibration" else ()
    )


def _single(task: str, mask_token: str, mask_slots: int | None) -> tuple[Sample, ...]:
    pair = task in PAIR_TASKS
    return tuple(
        _for_task(_halved(text) if pair else Sample(text), task, index, mask_token, mask_slots)
        for index, text in enumerate(_sentences("sentences"))
    )


def texts_from_file(path: Path, task: str, *, mask_token: str, mask_slots: int | None) -> TextSet:
    """A text a line; a tab separates the two of a pair.

    Raises:
        UsageError: the file cannot be read, is not UTF-8 or holds no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    except UnicodeDecodeError as failure:
        raise UsageError(f"{path} is not UTF-8 (byte {failure.start}); convert it first") from failure
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise UsageError(f"{path} holds no text; give one text a line")
    step = max(1, -(-len(lines) // LARGEST_FILE))
    samples = []
    for i, line in enumerate(lines[::step]):
        text, _, pair = line.partition("\t")
        sample = Sample(text, pair) if pair else Sample(text)
        if sample.pair is None and task in PAIR_TASKS:
            sample = _halved(text)
        samples.append(_for_task(sample, task, i, mask_token, mask_slots))
    return TextSet(tuple(samples), "file")


def _sentences(corpus: str) -> list[str]:
    text = resources.files(__name__).joinpath(f"{corpus}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


def _fit(sentences: list[str], tokens: int, task: str, tokenizer: Tokenizer) -> Sample:
    """As much of a passage as makes ``tokens`` tokens, special ones included, cut between words."""
    pair = task in PAIR_TASKS
    room = max(1, tokens - tokenizer.num_special_tokens_to_add(pair))
    # No English word is less than a token: enough sentences for the room.
    words = 0
    taken = []
    for sentence in sentences:
        taken.append(sentence)
        words += len(sentence.split())
        if words > room:
            break
    passage = " ".join(taken)
    offsets = tokenizer.encode(passage, add_special_tokens=False).offsets
    if len(offsets) > room:
        end = offsets[room][0]
        passage = passage[: max(passage.rfind(" ", 0, end + 1), offsets[0][1])].rstrip()
    return _halved(passage) if pair else Sample(passage)


def _halved(text: str) -> Sample:
    """A pair from one text: its first words, and the rest (all of it when it is a single word)."""
    words = text.split(" ")
    cut = max(1, len(words) // 3)
    return Sample(" ".join(words[:cut]), " ".join(words[cut:]) or text)


def _for_task(sample: Sample, task: str, index: int, mask_token: str, mask_slots: int | None) -> Sample:
    """Masks some words for fill-mask; the same ones each time. A text that has a mask keeps its own."""
    if task != "fill-mask" or mask_token in sample.text:
        return sample
    words = sample.text.split(" ")
    masks = max(1, min(mask_slots or len(words), len(words) * 15 // 100))
    for position in Random(index).sample(range(len(words)), masks):
        words[position] = mask_token
    return Sample(" ".join(words), sample.pair)
