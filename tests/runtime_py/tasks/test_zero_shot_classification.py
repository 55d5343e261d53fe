import numpy as np
import pytest
import transformers

from bertmobile.errors import UsageError
from bertmobile.model import Model
from bertmobile.tokenization import TruncationWarning

from ..conftest import tokenization
from ..helpers import LENGTHS, TEXTS, HashEngine, make_manifest, tokenizer_folder

HEADS = [
    ("entailment", "neutral", "contradiction"),
    ("contradiction", "neutral", "entailment"),
    ("contradiction", "entailment", "neutral"),
    ("not_entailment", "ENTAILMENT"),
    ("entailment", "not_entailment"),
]
LABELS = ["travel", "Zürich, or so", "food", "pneumonoultramicroscopic"]
OPTIONS = [
    {},
    {"multi_label": True},
    {"hypothesis_template": "This text is about {}, isn't it?"},
    {"multi_label": True, "hypothesis_template": "{}"},
]


@pytest.fixture
def both(models):
    """Our model and the pipeline of the same network, which cuts where the bundle does."""

    def make(head):
        model, classifier = models("text-classification", labels=head)
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            tokenizer_folder(), model_max_length=LENGTHS[-1]
        )
        task = "zero-shot-classification"
        return model, transformers.pipeline(task, model=classifier.model, tokenizer=tokenizer, device="cpu")

    return make


def rounded(answer):
    if isinstance(answer, list):
        return [rounded(entry) for entry in answer]
    return {**answer, "scores": pytest.approx(answer["scores"], rel=1e-4)}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("labels", [LABELS, "travel, food ,,Zürich", LABELS[:1], "food", ("a", "b")], ids=str)
@pytest.mark.parametrize("head", HEADS[:2], ids=" ".join)
def test_labels_and_scores_equal_the_pipeline(both, head, labels, options):
    model, pipeline = both(head)
    for text in (TEXTS[0], TEXTS[2]):
        expected = rounded(pipeline(text, candidate_labels=labels, **options))
        assert model(text, candidate_labels=labels, **options) == expected
    assert model(text, labels, **options) == expected
    assert model(sequences=text, candidate_labels=labels, **options) == expected


@pytest.mark.parametrize("head", HEADS, ids=" ".join)
def test_entailment_is_where_the_head_has_it(both, head):
    model, pipeline = both(head)
    for options in OPTIONS[:2]:
        expected = rounded(pipeline(TEXTS[:3], candidate_labels=LABELS, **options))
        assert model(TEXTS[:3], candidate_labels=LABELS, **options) == expected


def test_a_long_text_is_cut_and_the_hypothesis_is_not(both):
    model, pipeline = both(HEADS[0])
    text = "word " * 100
    with pytest.warns(TruncationWarning):
        ours = model(text, candidate_labels=["long " * 40, "short"])
    assert ours == rounded(pipeline(text, candidate_labels=["long " * 40, "short"]))


def test_contradiction_is_found_by_its_name():
    """The pipeline would weigh entailment against the first label, which is another."""
    manifest = make_manifest("text-classification", labels=("neutral", "entailment", "contradiction"))

    class Fixed(HashEngine):
        def run(self, inputs):
            return {"logits": np.array([[9, 2, 1]], np.float32)}

    model = Model(manifest, tokenization(manifest), Fixed(manifest))
    answer = model("text", candidate_labels=["any"])
    assert answer["scores"] == pytest.approx([1 / (1 + np.exp(-1))])


def test_large_logits_do_not_overflow():
    """Where the pipeline's exponentials do, its scores are not numbers."""
    manifest = make_manifest("text-classification", labels=HEADS[0])

    class Sure(HashEngine):
        def run(self, inputs):
            return {"logits": np.array([[200, 0, -200]], np.float32)}

    model = Model(manifest, tokenization(manifest), Sure(manifest))
    for multi_label in (False, True):
        answer = model("text", candidate_labels=["a", "b"], multi_label=multi_label)
        assert answer["scores"] == [1, 1] if multi_label else [0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a", {"candidate_labels": []}, "candidate_labels must be a list"),
        ("a", {"candidate_labels": " , "}, "candidate_labels must be a list"),
        ("a", {"candidate_labels": None}, "candidate_labels must be a list"),
        ("a", {"candidate_labels": ["a", 1]}, "candidate_labels must be a list"),
        ("", {"candidate_labels": "a"}, "the text is empty"),
        (("a", "b"), {"candidate_labels": "a"}, "not a pair"),
        ("a", {"candidate_labels": "a", "hypothesis_template": "no"}, "hypothesis_template"),
        ("a", {"candidate_labels": "a", "hypothesis_template": "{1}"}, "hypothesis_template"),
        ("a", {"candidate_labels": "a", "hypothesis_template": 1}, "hypothesis_template"),
        ("a", {"candidate_labels": "a", "top_k": 1}, "zero-shot-classification has no option top_k"),
        ("a", {"candidate_labels": "word " * 70}, "leaves no room"),
    ],
)
def test_wrong_calls_are_usage_errors(models, text, options, message):
    model, _ = models("text-classification", labels=HEADS[0])
    with pytest.raises(UsageError, match=message):
        model(text, **options)


def test_a_head_without_entailment_is_refused(models):
    """The pipeline would only warn, and take its last label for entailment."""
    model, _ = models("text-classification", labels=("negative", "neutral", "positive"))
    with pytest.raises(UsageError, match=r"needs a model of entailment.*negative, neutral, positive"):
        model("text", candidate_labels=["a", "b"])


def test_options_of_load_may_make_a_zero_shot_classifier():
    manifest = make_manifest("text-classification", labels=HEADS[0])
    model = Model(
        manifest, tokenization(manifest), HashEngine(manifest), candidate_labels=["a", "b"], multi_label=True
    )
    assert set(model("text")) == {"sequence", "labels", "scores"}
