"""Built-in texts fill every bucket of every task; a user's file is read whatever it holds."""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from tokenizers import BertWordPieceTokenizer, Tokenizer

from bertmobile.errors import UsageError
from bertmobile_export.checkpoint.config import TASKS
from bertmobile_export.texts import (
    LARGEST_FILE,
    PAIR_TASKS,
    PER_BUCKET,
    TOTAL,
    Sample,
    TextSet,
    _sentences,
    builtin_texts,
    texts_from_file,
)
from tests.checkpoints import vocabulary
from tests.messages import error_of
from tests.runtime_py.helpers import tokenizer_folder

MASK = "[MASK]"
SLOTS = 5
BUCKETS = [
    (32, 64, 128, 256),
    (128,),
    (512,),
    (8,),
    (7, 13),
    (32, 64, 128),
    (32, 33),
    (16, 32, 64, 128, 256, 512),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96),
]


@cache
def real_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(tokenizer_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@cache
def spelling_tokenizer() -> Tokenizer:
    """Knows few words, so that most fall into several tokens."""
    words = {token: index for index, token in enumerate(vocabulary())}
    return Tokenizer.from_str(BertWordPieceTokenizer(vocab=words).to_str())


def texts(
    task: str,
    lengths: tuple[int, ...],
    corpus: Literal["parity", "calibration"] = "parity",
    slots: int | None = SLOTS,
    tokenizer: Tokenizer | None = None,
) -> TextSet:
    slots = slots if task == "fill-mask" else None
    return builtin_texts(
        corpus, task, tokenizer or real_tokenizer(), lengths, mask_token=MASK, mask_slots=slots
    )


def assert_fills(found: TextSet, tokenizer: Tokenizer, lengths: tuple[int, ...]) -> None:
    """Equally many texts in each bucket: those that were meant for it."""
    sizes = [len(tokenizer.encode(sample.text, sample.pair)) for sample in found.samples]
    assert max(sizes) <= lengths[-1]
    counts = Counter(next(length for length in lengths if length >= size) for size in sizes)
    assert counts == dict.fromkeys(lengths, len(sizes) // len(lengths))
    assert min(counts.values()) >= PER_BUCKET
    assert len(sizes) >= TOTAL


@pytest.mark.parametrize("lengths", BUCKETS, ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_at_least_128_texts_and_16_in_every_bucket(task: str, lengths: tuple[int, ...]) -> None:
    assert_fills(texts(task, lengths), real_tokenizer(), lengths)


@pytest.mark.parametrize("lengths", [(32, 64, 128, 256), (7, 13), (16, 24, 32, 40)], ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_buckets_are_filled_whatever_the_vocabulary(task: str, lengths: tuple[int, ...]) -> None:
    tokenizer = spelling_tokenizer()
    assert_fills(texts(task, lengths, tokenizer=tokenizer), tokenizer, lengths)


@pytest.mark.parametrize("task", TASKS)
def test_calibration_fills_every_bucket_too(task: str) -> None:
    assert_fills(texts(task, (32, 64, 128), "calibration"), real_tokenizer(), (32, 64, 128))


def test_texts_reach_the_ends_of_their_buckets() -> None:
    sizes = [
        len(real_tokenizer().encode(sample.text)) for sample in texts("text-classification", (32, 64)).samples
    ]
    assert min(sizes) <= 5
    assert any(28 <= size <= 32 for size in sizes)
    assert any(60 <= size <= 64 for size in sizes)


@pytest.mark.parametrize("task", TASKS)
def test_pairs_are_for_pair_tasks(task: str) -> None:
    for sample in texts(task, (32, 128)).samples:
        assert sample.text
        assert bool(sample.pair) == (task in PAIR_TASKS)


@pytest.mark.parametrize("slots", [1, 2, SLOTS, None])
def test_fill_mask_texts_have_a_mask_and_no_more_than_the_slots(slots: int | None) -> None:
    counts = [sample.text.count(MASK) for sample in texts("fill-mask", (16, 128), slots=slots).samples]
    assert min(counts) >= 1
    assert max(counts) == slots if slots else max(counts) > SLOTS


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"fill-mask"}))
def test_no_other_task_has_masks(task: str) -> None:
    assert not any(MASK in sample.text + (sample.pair or "") for sample in texts(task, (32, 64)).samples)


def test_no_sentence_is_in_two_corpora_or_twice_among_the_single_ones() -> None:
    parity, calibration, single = (
        [line.strip().lower() for line in _sentences(corpus)]
        for corpus in ("parity", "calibration", "sentences")
    )
    assert len(parity) > 100 and len(calibration) > 100 and len(single) > 1_000
    assert set(parity).isdisjoint(calibration) and set(single).isdisjoint({*parity, *calibration})
    assert len(set(single)) == len(single)


def test_single_sentences_hold_many_more_words_than_the_documents() -> None:
    def words(corpus: str) -> set[str]:
        return set(re.findall(r"[a-z]+", " ".join(_sentences(corpus)).lower()))

    assert len(words("sentences") - words("calibration")) > 3_000


@pytest.mark.parametrize("task", ["fill-mask", "question-answering", "feature-extraction"])
def test_only_calibration_has_single_sentences_and_they_suit_the_task(task: str) -> None:
    assert texts(task, (32, 64)).sentences == ()
    found = texts(task, (32, 64), "calibration").sentences
    assert len(found) > 1_000
    assert all((sample.pair is not None) == (task == "question-answering") for sample in found)
    assert all((MASK in sample.text) == (task == "fill-mask") for sample in found)


@pytest.mark.parametrize("task", ["fill-mask", "question-answering"])
def test_the_same_call_gives_the_same_texts(task: str) -> None:
    first, second = texts(task, (32, 64)), texts(task, (32, 64))
    assert first == second
    assert first.sha256 == second.sha256
    assert first.sha256 != texts(task, (32, 64), "calibration").sha256
    assert first.source == "builtin"


def test_a_hash_tells_a_pair_from_one_text() -> None:
    hashes = {TextSet((sample,), "file").sha256 for sample in (Sample("a b"), Sample("a", "b"), Sample("ab"))}
    assert len(hashes) == 3


def from_file(path: Path, task: str = "text-classification", slots: int | None = None) -> TextSet:
    return texts_from_file(path, task, mask_token=MASK, mask_slots=slots)


def test_a_file_gives_a_text_for_each_line_that_is_not_blank(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n  \nOne text.\r\n\n\t\nAnother, naïve one.\n", encoding="utf-8")
    found = from_file(path)
    assert found.samples == (Sample("One text."), Sample("Another, naïve one."))
    assert found.source == "file"


def test_a_tab_separates_a_pair(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("Who?\tSomebody did.\nalone\t\n", encoding="utf-8")
    for task in ("text-classification", "question-answering"):
        assert from_file(path, task).samples[0] == Sample("Who?", "Somebody did.")
    assert from_file(path).samples[1] == Sample("alone")


def test_a_pair_task_makes_pairs_of_single_texts(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("one two three four five six\nalone\n", encoding="utf-8")
    found = from_file(path, "next-sentence").samples
    assert found == (Sample("one two", "three four five six"), Sample("alone", "alone"))


def test_a_fill_mask_file_is_masked_where_it_has_no_mask_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text(f"The {MASK} is mine.\n{'word ' * 80}\nalone\n", encoding="utf-8")
    own, long, single = from_file(path, "fill-mask", SLOTS).samples
    assert own == Sample(f"The {MASK} is mine.")
    assert long.text.count(MASK) == SLOTS
    assert single == Sample(MASK)
    assert from_file(path, "fill-mask", SLOTS) == from_file(path, "fill-mask", SLOTS)


@pytest.mark.parametrize("lines", [LARGEST_FILE, LARGEST_FILE + 1, 5 * LARGEST_FILE + 3])
def test_a_huge_file_is_sampled_from_end_to_end(lines: int, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"text {i}\n" for i in range(lines)), encoding="utf-8")
    found = [int(sample.text.split()[1]) for sample in from_file(path).samples]
    assert LARGEST_FILE // 2 <= len(found) <= LARGEST_FILE
    assert found[0] == 0
    assert found[-1] >= lines * 0.99
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \t \n"])
def test_a_file_without_text_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    assert "holds no text" in error_of(UsageError, from_file, path)


def test_a_file_in_another_encoding_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("good\nnaïve".encode("latin-1"))
    message = error_of(UsageError, from_file, path)
    assert "not UTF-8" in message and "byte 7" in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "No such file" in error_of(UsageError, from_file, tmp_path / "none.txt")
    assert "cannot be read" in error_of(UsageError, from_file, tmp_path)
