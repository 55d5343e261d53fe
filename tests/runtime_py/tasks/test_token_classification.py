import pytest

from bertmobile.errors import UsageError

from ..helpers import TEXTS

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


@pytest.mark.parametrize("options", [{"aggregation_strategy": "median"}, {"ignore_labels": "O"}])
def test_wrong_option_values_are_usage_errors(models, options):
    model, _ = models("token-classification", labels=LABELS)
    with pytest.raises(UsageError):
        model("text", **options)


def test_a_pair_is_refused(models):
    model, _ = models("token-classification", labels=LABELS)
    with pytest.raises(UsageError, match="not a pair"):
        model(("a", "b"))
