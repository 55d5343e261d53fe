import unicodedata

import numpy as np
import pytest
import transformers

from bertmobile.errors import UsageError
from bertmobile.model import Model

from ..conftest import tokenization
from ..helpers import LENGTHS, TEXTS, HashEngine, make_manifest, tokenizer_folder

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")
STRATEGIES = ["none", "simple", "first", "average", "max"]
MORE = [
    "New York-based Llewellyn visited Llanfairpwllgwyngyll with Ångström",
    "[UNK] zzz \U0001f9ff [SEP] 日本 Tokyo",
    "   ",
]


def rounded(entities):
    return [{**entity, "score": pytest.approx(entity["score"], rel=1e-4)} for entity in entities]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("text", TEXTS[:8] + TEXTS[9:] + MORE)
def test_equals_the_pipeline(models, text, strategy):
    model, pipeline = models("token-classification", labels=LABELS)
    ours = model(text, aggregation_strategy=strategy)
    assert ours == rounded(pipeline(text, aggregation_strategy=strategy))


LONG = (
    " ".join(TEXTS[:8]) + " " + " ".join(f"In {year} Ada met no. {year * 7} in London," for year in range(12))
)
CONSTANT = "the water was good and " * 40 + "Paris"


@pytest.fixture
def windowed(models):
    """The pipeline of the same network, with a tokenizer that cuts where the bundle does."""
    _, pipeline = models("token-classification", labels=LABELS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder(), model_max_length=LENGTHS[-1])
    return transformers.pipeline("ner", model=pipeline.model, tokenizer=tokenizer, device="cpu")


@pytest.mark.parametrize("ignored", [[], ["O"]], ids=str)
@pytest.mark.parametrize("stride", [0, 1, 40])
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@pytest.mark.parametrize("text", [LONG, CONSTANT, TEXTS[6]], ids=["long", "constant", "short"])
def test_stride_equals_the_pipeline(models, windowed, text, strategy, stride, ignored):
    model, _ = models("token-classification", labels=LABELS)
    options = {"aggregation_strategy": strategy, "stride": stride, "ignore_labels": ignored}
    assert model(text, **options) == rounded(windowed(text, **options))


@pytest.mark.parametrize("stride", [None, 0, 5, 16, 61])
def test_each_token_of_a_long_text_is_judged_once_and_far_from_an_edge(stride):
    manifest = make_manifest("token-classification", labels=("O", "X"))

    class Placed(HashEngine):
        def run(self, inputs):
            length = inputs["input_ids"].shape[1]
            return {"logits": np.stack([np.zeros(length), np.arange(1, length + 1) / 10], -1)[None]}

    model = Model(manifest, tokenization(manifest), Placed(manifest))
    tokens, room, overlap = 200, LENGTHS[-1] - 2, LENGTHS[-1] // 2 if stride is None else stride
    answers = model("sand " * tokens, stride=stride)
    assert [answer["index"] for answer in answers] == list(range(1, tokens + 1))
    assert [answer["start"] for answer in answers] == list(range(0, 5 * tokens, 5))
    starts = range(0, tokens - overlap, room - overlap)
    for place, answer in enumerate(answers):
        # The score tells where in its window the token was.
        start = place - (round(10 * np.log(answer["score"] / (1 - answer["score"]))) - 2)
        assert start in starts

        def distance(start, place=place):
            stop = min(start + room, tokens)
            left, right = place - start if start else tokens, stop - 1 - place if stop < tokens else tokens
            return min(left, right)

        assert distance(start) == max(distance(other) for other in starts if other <= place < other + room)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("text", [LONG, CONSTANT], ids=["long", "constant"])
def test_without_stride_nothing_of_a_long_text_is_left_out(models, text, strategy):
    model, _ = models("token-classification", labels=LABELS)
    found = model(text, aggregation_strategy=strategy, ignore_labels=[])
    covered = {place for entity in found for place in range(entity["start"], entity["end"])}
    assert {place for place, character in enumerate(text) if character.isalnum()} <= covered
    starts = [entity["start"] for entity in found]
    assert starts == sorted(starts) and found[-1]["end"] == len(text)


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@pytest.mark.parametrize("before", range(52, 66))
def test_an_entity_over_the_edge_of_a_window_is_found_whole(strategy, before):
    manifest = make_manifest("token-classification", labels=LABELS)

    class Gazetteer(HashEngine):
        def run(self, inputs):
            begins, goes_on = inputs["input_ids"] == new, inputs["input_ids"] == york
            outputs = super().run(inputs)
            outputs["logits"][:] = 0
            outputs["logits"][..., 0] = 1
            outputs["logits"][begins, 3] = 9
            outputs["logits"][goes_on, 4] = 9
            return outputs

    model = Model(manifest, tokenization(manifest), Gazetteer(manifest))
    _, new, york, _ = model.encode("new york").ids
    text = "sand " * before + "New York" + " sand" * 80
    for options in ({}, {"stride": 8}):
        (found,) = model(text, aggregation_strategy=strategy, **options)
        assert (found["word"], found["start"], found["end"]) == ("new york", 5 * before, 5 * before + 8)


WORDS = [
    [
        "Ada",
        "Lovelace",
        "met",
        "New",
        "York-based",
        "Llanfairpwllgwyngyll",
        "don't",
        "",
        "東京",
        "🍕",
        "U.S.",
    ],
    ["cafés", "and", "   ", "[SEP]", "[MASK]s"],
    [""],
    [],
]


@pytest.mark.parametrize("delimiter", [None, " ", "", "--"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("words", WORDS, ids=str)
def test_words_already_split_equal_the_pipeline(models, words, strategy, delimiter):
    model, pipeline = models("token-classification", labels=LABELS)
    options = {"aggregation_strategy": strategy, "is_split_into_words": True, "delimiter": delimiter}
    ours = model([words], **options)
    assert ours == [rounded(answer) for answer in pipeline([words], **options)]
    if words:
        assert model(words, **options) == ours


def test_words_already_split_are_read_in_windows_like_the_pipeline(models, windowed):
    model, _ = models("token-classification", labels=LABELS)
    options = {"aggregation_strategy": "max", "is_split_into_words": True, "stride": 9}
    words = LONG.split()
    assert model(words, **options) == [rounded(answer) for answer in windowed(words, **options)]


@pytest.mark.parametrize("item", ["Ada met", ("Ada", "met"), {"text": "Ada"}, [["Ada"], "met"], [1]], ids=str)
def test_what_is_no_list_of_words_is_a_usage_error(models, item):
    model, _ = models("token-classification", labels=LABELS)
    with pytest.raises(UsageError):
        model(item, is_split_into_words=True)


ALIKE = [
    ("The café in Zürich, Łódź", "NFD"),
    ("naïve Ångström déjà", "NFD"),
    ("Königsberg", "NFD"),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("text", "form"), ALIKE)
def test_decomposed_letters_change_no_entity(models, text, form, strategy):
    """The pipeline's answer to the composed form; to the other it joins the word with the one before."""
    model, pipeline = models("token-classification", labels=LABELS)
    expected = pipeline(text, aggregation_strategy=strategy, ignore_labels=[])
    assert_alike(
        model(unicodedata.normalize(form, text), aggregation_strategy=strategy, ignore_labels=[]), expected
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("hidden", ["\u00ad", "\u200d", "\u0007"])
@pytest.mark.parametrize("place", [5, 15])
def test_characters_that_are_not_seen_change_no_entity(models, hidden, place, strategy):
    model, pipeline = models("token-classification", labels=LABELS)
    text = "Ada Lovelace met Babbage in London"
    expected = pipeline(text, aggregation_strategy=strategy, ignore_labels=[])
    with_it = text[:place] + hidden + text[place:]
    assert_alike(model(with_it, aggregation_strategy=strategy, ignore_labels=[]), expected)
    words = with_it.split(" ")
    ours = model(words, aggregation_strategy=strategy, ignore_labels=[], is_split_into_words=True)
    assert_alike(ours[0], expected)


def assert_alike(ours, expected):
    """The same entities, wherever they stand in the text."""
    without = [{key: value for key, value in e.items() if key not in ("start", "end")} for e in expected]
    assert [{key: value for key, value in e.items() if key not in ("start", "end")} for e in ours] == rounded(
        without
    )


@pytest.mark.parametrize("ignored", [[], ["PER", "B-PER"], LABELS])
@pytest.mark.parametrize("strategy", ["none", "simple"])
def test_ignored_labels_equal_the_pipeline(models, strategy, ignored):
    model, pipeline = models("token-classification", labels=LABELS)
    options = {"aggregation_strategy": strategy, "ignore_labels": ignored}
    assert model(TEXTS[6], **options) == rounded(pipeline(TEXTS[6], **options))


def test_start_and_end_are_code_points(models):
    model, _ = models("token-classification", labels=LABELS)
    text = "🍕🍕 Ada lives"
    (ada,) = (e for e in model(text, ignore_labels=[]) if e["word"] == "ada")
    assert text[ada["start"] : ada["end"]] == "Ada"


def test_scores_are_plain_floats(models):
    model, _ = models("token-classification", labels=LABELS)
    for strategy in STRATEGIES:
        assert all(type(e["score"]) is float for e in model(TEXTS[0], aggregation_strategy=strategy))


@pytest.mark.parametrize(
    "options",
    [
        {"aggregation_strategy": "median"},
        {"ignore_labels": "O"},
        {"stride": -1},
        {"stride": 62},
        {"stride": "1"},
        {"delimiter": 1},
    ],
    ids=str,
)
def test_wrong_option_values_are_usage_errors(models, options):
    model, _ = models("token-classification", labels=LABELS)
    with pytest.raises(UsageError, match=next(iter(options))):
        model(LONG, **options)


def test_a_pair_is_refused(models):
    model, _ = models("token-classification", labels=LABELS)
    with pytest.raises(UsageError, match="not a pair"):
        model(("a", "b"))
