import warnings

import pytest

from bertmobile.errors import UsageError
from bertmobile.model import Model

from ..conftest import tokenization
from ..helpers import TEXTS, make_manifest
from ..torch_engine import TorchEngine, tiny_bert

SHORT = [text for text in TEXTS if len(text) < 140]
ONE_MASK = [f"{text} the [MASK] one" for text in SHORT] + ["[MASK]", "[PAD] first [MASK] [PAD]"]
MANY_MASKS = ["[MASK] is [MASK].", "déjà [MASK] 東[MASK]京 [MASK] 🍕[MASK] [MASK] and [MASK] [MASK]"]


def assert_same(ours, reference):
    if isinstance(reference[0], list):
        assert len(ours) == len(reference)
        for mine, other in zip(ours, reference, strict=True):
            assert_same(mine, other)
        return
    for mine, other in zip(ours, reference, strict=True):
        assert {**mine, "score": None} == {**other, "score": None}
        assert mine["score"] == pytest.approx(other["score"], rel=1e-4)


@pytest.mark.parametrize("slots", [None, 1, 3])
@pytest.mark.parametrize("text", ONE_MASK + MANY_MASKS)
def test_equals_the_pipeline(models, text, slots):
    model, pipeline = models("fill-mask", mask_slots=slots)
    assert_same(model(text), pipeline(text))


@pytest.mark.parametrize("top_k", [1, 7])
@pytest.mark.parametrize("text", [ONE_MASK[1], MANY_MASKS[0]])
def test_top_k_equals_the_pipeline(models, text, top_k):
    model, pipeline = models("fill-mask", mask_slots=3)
    assert_same(model(text, top_k=top_k), pipeline(text, top_k=top_k))


@pytest.mark.parametrize(
    "targets", ["dog", ["dog", "cat", "dog"], ["Paris", "unthinkably", "🍕", ""], ["a"] * 9]
)
@pytest.mark.parametrize("text", [ONE_MASK[1], MANY_MASKS[0]])
@pytest.mark.filterwarnings("ignore:target")
def test_targets_equal_the_pipeline(models, text, targets):
    model, pipeline = models("fill-mask", mask_slots=3)
    assert_same(model(text, targets=targets), pipeline(text, targets=targets))


def test_a_target_that_is_not_one_token_warns_which_piece_is_scored(models):
    model, _ = models("fill-mask", mask_slots=3)
    with pytest.warns(UserWarning, match="'Paris' is not one token of the vocabulary; 'paris' is scored"):
        model("[MASK]", targets=["Paris"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model("[MASK]", targets=["paris"])


def test_more_masks_than_slots_take_several_runs():
    manifest = make_manifest("fill-mask", mask_slots=3)
    engine = TorchEngine(manifest, tiny_bert(manifest))
    Model(manifest, tokenization(manifest), engine)("[MASK] " * 7)
    assert engine.runs == 3


def test_a_text_without_a_mask_is_a_usage_error_that_names_the_mask_token(models):
    model, _ = models("fill-mask", mask_slots=3)
    for text in ("no gap", ""):
        with pytest.raises(UsageError, match=r"no mask token \[MASK\] in the text"):
            model(text)


@pytest.mark.filterwarnings("ignore::bertmobile.TruncationWarning")
def test_a_mask_beyond_the_longest_bucket_is_said_to_be_there(models):
    model, _ = models("fill-mask", mask_slots=3)
    with pytest.raises(UsageError, match="in its first 64 tokens"):
        model("word " * 100 + "[MASK]")


@pytest.mark.parametrize(
    "options",
    [{"top_k": 0}, {"top_k": "5"}, {"top_k": True}] + [{"targets": wrong} for wrong in ([], "", [1], 5)],
)
def test_wrong_option_values_are_usage_errors(models, options):
    model, _ = models("fill-mask", mask_slots=3)
    with pytest.raises(UsageError):
        model("a [MASK]", **options)
