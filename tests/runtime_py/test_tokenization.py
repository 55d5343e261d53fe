import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from bertmobile.errors import BundleError, UsageError
from bertmobile.tokenization import Tokenization, TruncationWarning

from .conftest import tokenization
from .helpers import LENGTHS, TEXTS, make_manifest, tokenizer_folder, write_bundle

TOKENIZATION = tokenization(make_manifest("text-classification", labels=("a", "b")))
# Words, so that many examples are long, and any Unicode, so that some are strange.
LONG_TEXT = st.lists(
    st.one_of(st.sampled_from(" ".join(TEXTS).split()), st.text(max_size=8)), max_size=60
).map(" ".join)


def quietly(function, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        return function(*arguments)


def assert_same(encoded, expected):
    """Our padded arrays against the lists of the reference tokenizer."""
    count = len(expected["input_ids"])
    assert encoded.ids == expected["input_ids"]
    assert encoded.inputs["input_ids"][0, :count].tolist() == expected["input_ids"]
    assert encoded.inputs["token_type_ids"][0, :count].tolist() == expected["token_type_ids"]
    assert encoded.offsets == [tuple(pair) for pair in expected["offset_mapping"]]
    assert encoded.special_tokens_mask == expected["special_tokens_mask"]


@settings(max_examples=60, deadline=None)
@given(text=LONG_TEXT)
def test_one_text_equals_the_reference_tokenizer(hf_tokenizer, text):
    expected = hf_tokenizer(
        text, truncation=True, max_length=64, return_offsets_mapping=True, return_special_tokens_mask=True
    )
    assert_same(quietly(TOKENIZATION.encode, text), expected)


@settings(max_examples=100, deadline=None)
@given(text=LONG_TEXT, pair=LONG_TEXT)
def test_a_pair_is_cut_longest_first_like_the_reference(hf_tokenizer, text, pair):
    expected = hf_tokenizer(
        text,
        pair,
        truncation="longest_first",
        max_length=64,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    encoded = quietly(TOKENIZATION.encode, text, pair)
    assert_same(encoded, expected)
    assert encoded.sequence_ids == expected.sequence_ids()
    assert encoded.word_ids == expected.word_ids()


@settings(max_examples=60, deadline=None)
@given(text=LONG_TEXT)
def test_the_smallest_bucket_that_fits_is_chosen_and_padded(text):
    encoded = quietly(TOKENIZATION.encode, text)
    (bucket,) = {array.shape for array in encoded.inputs.values()}
    smaller = [length for length in LENGTHS if length < bucket[1]]
    assert bucket[1] in LENGTHS and len(encoded) <= bucket[1]
    assert all(length < len(encoded) for length in smaller)
    assert encoded.inputs["attention_mask"].sum() == len(encoded)
    for array in encoded.inputs.values():
        assert not array[0, len(encoded) :].any()


@settings(max_examples=60, deadline=None)
@given(
    question=st.lists(st.sampled_from(["who", "what", "where"]), max_size=20).map(" ".join),
    context=LONG_TEXT.filter(bool),
    stride=st.integers(0, 30),
)
def test_windows_equal_the_reference_tokenizer(hf_tokenizer, question, context, stride):
    expected = hf_tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=64,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    windows = TOKENIZATION.windows(question, context, stride)
    assert len(windows) == len(expected["input_ids"])
    for number, window in enumerate(windows):
        assert_same(window, {key: values[number] for key, values in expected.items()})
        assert window.sequence_ids == expected.sequence_ids(number)


def test_every_context_token_is_in_some_window_by_default():
    context = " ".join(f"{number}" for number in range(300))
    question = "why " * 50
    windows = TOKENIZATION.windows(question, context)
    seen = {
        offset
        for window in windows
        for offset, text in zip(window.offsets, window.sequence_ids, strict=True)
        if text == 1
    }
    assert {context[start:end] for start, end in seen} >= {f"{number}" for number in range(300)}


def test_a_question_that_fills_the_longest_bucket_is_refused():
    with pytest.raises(UsageError, match="question has 70 tokens and leaves no room"):
        TOKENIZATION.windows("why " * 70, "because")


def test_a_stride_that_leaves_no_room_is_refused_only_when_windows_are_needed():
    assert len(TOKENIZATION.windows("why", "because", 500)) == 1
    with pytest.raises(UsageError, match="doc_stride must be from 0 to 59"):
        TOKENIZATION.windows("why", "because " * 100, 60)


def test_truncation_warns_with_the_number_of_dropped_tokens():
    with pytest.warns(TruncationWarning, match="62 of 100 tokens kept, 38 dropped"):
        encoded = TOKENIZATION.encode("word " * 100)
    assert encoded.dropped == 38 and len(encoded) == 64


def test_text_that_fits_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TOKENIZATION.encode("word " * 62).dropped == 0


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_arrays_have_the_manifests_integer_type(dtype):
    encoded = tokenization(make_manifest("fill-mask", dtype=dtype)).encode("hello")
    assert {array.dtype for array in encoded.inputs.values()} == {np.dtype(dtype)}
    assert list(encoded.inputs) == ["input_ids", "attention_mask", "token_type_ids"]


def test_a_model_of_one_segment_gets_zero_token_types():
    one = tokenization(make_manifest("fill-mask", type_vocab_size=1)).encode("a", "b")
    two = TOKENIZATION.encode("a", "b")
    assert not one.inputs["token_type_ids"].any() and two.inputs["token_type_ids"].any()


@pytest.mark.parametrize("text", [None, 5, b"bytes", ["a"], "lone \ud800 surrogate"])
def test_what_is_not_unicode_text_is_a_usage_error(text):
    with pytest.raises(UsageError):
        TOKENIZATION.encode(text)


def test_a_tokenizer_that_contradicts_the_manifest_is_refused():
    tokenizer = Tokenizer.from_str(
        (tokenizer_folder() / "tokenizer.json").read_text(encoding="utf-8").replace("[MASK]", "[GAP]")
    )
    with pytest.raises(BundleError, match=r"\[MASK\]"):
        Tokenization(tokenizer, make_manifest("fill-mask"))


def test_an_unreadable_tokenizer_is_a_bundle_error(tmp_path):
    manifest = make_manifest("fill-mask")
    folder = write_bundle(tmp_path / "bundle", manifest)
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read"):
        Tokenization.open(folder, manifest)
