import json

import pytest

from bertmobile.errors import UsageError
from bertmobile.tokenization import TruncationWarning

from ..helpers import TEXTS

LABELS = ("negative", "neutral", "positive")
KINDS = [
    {"labels": LABELS},
    {"labels": LABELS, "problem_type": "single_label_classification"},
    {"labels": LABELS, "problem_type": "multi_label_classification"},
    {"labels": LABELS, "problem_type": "regression"},
    {"labels": ("toxic",)},
    {"labels": ("stars",), "problem_type": "regression"},
]
PAIRS = [("A man sleeps.", "Nobody is awake."), ("", "naïve 東京"), ("🍕", "")]


def rounded(answer):
    if isinstance(answer, list):
        return [rounded(entry) for entry in answer]
    return {"label": answer["label"], "score": pytest.approx(answer["score"], rel=1e-4, abs=1e-5)}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_best_label_of_texts_equals_the_pipeline(models, kind):
    model, pipeline = models("text-classification", **kind)
    for text in TEXTS:
        options = {"truncation": True, "max_length": 64}
        assert model(text, **options) == rounded(pipeline(text, **options))


def test_the_one_label_of_a_text_is_read_with_and_without_unpacking(models):
    model, _ = models("text-classification", labels=LABELS)
    answer = model("It rained.")
    assert isinstance(answer, list) and json.loads(json.dumps(answer)) == [*answer]
    assert {key: answer[key] for key in ("label", "score")} == answer[0] == answer[-1]
    with pytest.raises(IndexError):
        answer[1]


@pytest.mark.parametrize("top_k", [None, 1, 2, 9])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_top_k_equals_the_pipeline(models, kind, top_k):
    model, pipeline = models("text-classification", **kind)
    for text in TEXTS[:3]:
        assert model(text, top_k=top_k) == rounded(pipeline(text, top_k=top_k))


def test_pairs_as_tuple_or_dictionary_equal_the_pipeline(models):
    model, pipeline = models("text-classification", labels=LABELS)
    for text, pair in PAIRS:
        expected = rounded(pipeline({"text": text, "text_pair": pair}))
        assert model((text, pair)) == expected
        assert model({"text": text, "text_pair": pair}) == expected
        assert model(text=text, text_pair=pair) == expected
        assert model(text, text_pair=pair) == rounded(pipeline(text, text_pair=pair))


@pytest.mark.parametrize("limit", [3, 8, 20])
def test_max_length_cuts_as_the_pipeline_does(models, limit):
    model, pipeline = models("text-classification", labels=LABELS)
    options = {"truncation": True, "max_length": limit}
    with pytest.warns(TruncationWarning):
        assert model(TEXTS[5], **options) == rounded(pipeline(TEXTS[5], **options))
    with pytest.warns(TruncationWarning):
        pair = {"text": TEXTS[5], "text_pair": TEXTS[6]}
        assert model(pair, **options) == rounded(pipeline(pair, **options))


def test_labels_differ_between_texts(models):
    """The tiny model is no constant, so that the comparisons above mean something."""
    model, _ = models("text-classification", labels=LABELS)
    assert len({model(text)[0]["label"] for text in TEXTS}) > 1


@pytest.mark.parametrize("top_k", [0, -1, 1.5, "all"])
def test_a_wrong_top_k_is_a_usage_error(models, top_k):
    model, _ = models("text-classification", labels=LABELS)
    with pytest.raises(UsageError, match="top_k"):
        model("text", top_k=top_k)


@pytest.mark.parametrize(
    "options", [{"truncation": False}, {"max_length": 0}, {"multi_label": True}], ids=str
)
def test_wrong_options_are_usage_errors(models, options):
    model, _ = models("text-classification", labels=LABELS)
    with pytest.raises(UsageError, match=next(iter(options))):
        model("text", **options)
