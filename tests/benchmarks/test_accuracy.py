"""``bertmobile_bench.accuracy`` on bundles of tiny checkpoints, against transformers asked directly."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertForMaskedLM, BertForSequenceClassification

from bertmobile import ParityError, UsageError
from bertmobile_bench.accuracy import Source, measure
from bertmobile_bench.interval import paired_difference
from bertmobile_export.threads import one_thread_each
from tests.exports import Exports
from tests.messages import error_of

# The longest is cut: the checkpoints take 64 tokens.
TEXTS = (
    "The film was good, and the weather in Paris was warm.",
    "I love the street where we lived.",
    "No one knew what they should say.",
    "It rained all night long; we stayed at home.",
    "Berlin is the capital of Germany.",
    "He hated the car.",
    "A cold rain fell on London, and no one was on the street.",
    "They think that the story is great.",
    "a word " * 40,
)
PAIRS = tuple(zip(TEXTS, [*TEXTS[1:], TEXTS[0]], strict=True))


@pytest.fixture(autouse=True, scope="module")
def single() -> Any:
    with one_thread_each():
        yield


@pytest.fixture(scope="module")
def classifier(exports: Exports) -> Path:
    return exports("text-classification", target="onnx").bundle


@pytest.fixture(scope="module")
def masked_lm(exports: Exports) -> Path:
    return exports("fill-mask", target="onnx").bundle


def ask(folder: Path, texts: Sequence[tuple[str, str | None]]) -> list[int]:
    """The labels that transformers gives."""
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return [
            int(
                model(**tokenizer(*text, truncation=True, max_length=64, return_tensors="pt")).logits.argmax()
            )
            for text in texts
        ]


def labelled(folder: Path, texts: Sequence[tuple[str, str | None]], labels: Sequence[int]) -> Path:
    rows = [f"{a}\t{b or ''}\t{label}\n" for (a, b), label in zip(texts, labels, strict=True)]
    path = folder / "data.tsv"
    path.write_text("text\tpair\tlabel\n" + "".join(rows), encoding="utf-8")
    return path


def plain(folder: Path, texts: Sequence[str] = TEXTS) -> Path:
    path = folder / "data.txt"
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def copied(checkpoint: Path, folder: Path, model: Any) -> Path:
    """The checkpoint with other weights, under the same name."""
    target = folder / checkpoint.name
    shutil.copytree(checkpoint, target)
    model.save_pretrained(target)
    return target


@pytest.mark.parametrize("texts", [tuple((text, None) for text in TEXTS), PAIRS], ids=["texts", "pairs"])
def test_accuracies_of_a_float32_bundle_and_its_source_are_those_of_transformers(
    texts: Sequence[tuple[str, str | None]], classifier: Path, exports: Exports, tmp_path: Path
) -> None:
    checkpoint = exports.checkpoint("text-classification")
    labels = ask(checkpoint, texts)
    labels[:2] = [(label + 1) % 3 for label in labels[:2]]
    result = measure(classifier, str(checkpoint), labelled(tmp_path, texts, labels))
    assert result.score.measure == "accuracy" and result.score.count == len(texts)
    assert result.score.reference == result.score.bundle == pytest.approx(1 - 2 / len(texts))
    assert (result.score.change, result.score.flipped) == (0.0, 0.0)
    assert result.score.interval[0] < 0 < result.score.interval[1]
    assert (result.texts, result.lines, result.same_weights) == (len(texts), len(texts), True)
    assert result.truncated == (1 if texts is not PAIRS else 2)


def test_a_worse_classifier_drops_by_what_it_flips(
    classifier: Path, exports: Exports, tmp_path: Path
) -> None:
    checkpoint = exports.checkpoint("text-classification")
    model = BertForSequenceClassification.from_pretrained(checkpoint)
    with torch.no_grad():
        model.classifier.bias[0] += 100.0
    # The reference now says the first label to everything, and the data agree with it.
    reference = copied(checkpoint, tmp_path, model)
    texts = [(text, None) for text in TEXTS]
    data = labelled(tmp_path, texts, [0] * len(texts))
    told = ask(checkpoint, texts)
    flipped = sum(label != 0 for label in told)
    assert flipped > 0
    score = measure(classifier, str(reference), data, allow_different=True).score
    assert score.reference == 1.0 and score.bundle == pytest.approx(1 - flipped / len(texts))
    assert score.change == pytest.approx(-100 * flipped / len(texts))
    assert score.flipped == pytest.approx(flipped / len(texts))
    right = torch.tensor(told).numpy() == 0
    expected = paired_difference(right | True, right)
    assert score.interval == pytest.approx([100 * bound for bound in expected])
    assert score.interval[0] <= score.change <= score.interval[1] and score.interval[1] < 0


def brute_force(folder: Path, texts: Sequence[str], longest: int = 64) -> tuple[float, dict[int, float], int]:
    """Pseudo-perplexity by its definition, top-1 and top-5, and the number of tokens."""
    model = BertForMaskedLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    total, count, hits = 0.0, 0, {1: 0, 5: 0}
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")["input_ids"]
            for position in range(1, ids.shape[1] - 1):
                masked = ids.clone()
                masked[0, position] = tokenizer.mask_token_id
                scores = model(input_ids=masked).logits[0, position].double().log_softmax(-1)
                total -= scores[ids[0, position]].item()
                count += 1
                for most in hits:
                    hits[most] += ids[0, position] in scores.topk(most).indices
    return math.exp(total / count), {most: number / count for most, number in hits.items()}, count


@pytest.mark.parametrize("form", [{}, {"full_logits": True}], ids=["slots", "full logits"])
def test_pseudo_perplexity_is_that_of_its_definition(
    form: dict[str, Any], exports: Exports, tmp_path: Path
) -> None:
    checkpoint = exports.checkpoint("fill-mask")
    bundle = exports("fill-mask", target="onnx", **form).bundle
    expected, top, count = brute_force(checkpoint, TEXTS)
    result = measure(bundle, str(checkpoint), plain(tmp_path))
    score = result.score
    assert score.measure == "pseudo-perplexity" and score.count == count and result.truncated == 1
    assert score.reference == pytest.approx(expected, rel=1e-6)
    assert score.bundle == pytest.approx(expected, rel=1e-4)
    assert score.change == pytest.approx(100 * (score.bundle / score.reference - 1), abs=1e-9)
    assert abs(score.change) < 0.01 and score.flipped == 0.0
    assert score.interval[0] <= score.change <= score.interval[1]
    for likeliest, one in zip(result.scores[1:], (1, 5), strict=True):
        assert likeliest.measure == f"top-{one}" and likeliest.count == count
        assert likeliest.reference == likeliest.bundle == pytest.approx(top[one])
        assert (likeliest.change, likeliest.interval) == (0.0, (0.0, 0.0))


def test_a_worse_masked_lm_is_more_perplexed(masked_lm: Path, exports: Exports, tmp_path: Path) -> None:
    checkpoint = exports.checkpoint("fill-mask")
    model = BertForMaskedLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    words = tokenizer.convert_tokens_to_ids(["the", "sea", "was", "cold", "and", "far"])
    with torch.no_grad():
        model.cls.predictions.bias[words] += 6.0
    reference = copied(checkpoint, tmp_path, model)
    data = plain(tmp_path, ["The sea was cold.", "The sea was far and cold.", "And the sea was far."])
    score = measure(masked_lm, str(reference), data, allow_different=True).score
    assert score.bundle > 3 * score.reference
    assert 100 < score.interval[0] <= score.change <= score.interval[1]
    assert score.flipped > 0.5


def test_few_masks_are_the_same_for_each_bundle_and_depend_on_the_seed(
    masked_lm: Path, exports: Exports, tmp_path: Path
) -> None:
    source = Source.open(str(exports.checkpoint("fill-mask")), "fill-mask")
    data = plain(tmp_path)
    first, again = (measure(masked_lm, source, data, masks_per_text=3).score for _ in range(2))
    assert first == again and first.count == 3 * len(TEXTS)
    asked = len(source._guesses)
    assert asked == first.count
    full = exports("fill-mask", target="onnx", full_logits=True).bundle
    other = measure(full, source, data, masks_per_text=3).score
    assert other.reference == first.reference and len(source._guesses) == asked
    assert measure(masked_lm, source, data, masks_per_text=3, seed=1).score.reference != first.reference


def test_a_reference_that_does_not_fit_the_bundle_is_refused(
    classifier: Path, masked_lm: Path, exports: Exports, tmp_path: Path
) -> None:
    data = labelled(tmp_path, [("a", None), ("b", None)], [0, 1])
    vectors = exports.checkpoint("feature-extraction")
    message = error_of(UsageError, measure, masked_lm, str(vectors), plain(tmp_path))
    assert "is a feature-extraction model and the bundle is for fill-mask" in message

    other = exports.checkpoint("text-classification", seed=1)
    message = error_of(UsageError, measure, classifier, str(other), data)
    assert "has other weights than the source" in message and "--allow-different" in message

    two = exports.checkpoint(
        "text-classification", id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1}
    )
    message = error_of(UsageError, measure, classifier, str(two), data, allow_different=True)
    assert "has the labels no, yes and the bundle bad, good, undecided" in message

    source = Source.open(str(exports.checkpoint("fill-mask")), "fill-mask")
    message = error_of(UsageError, measure, classifier, source, data)
    assert "was opened for fill-mask" in message


def test_a_reference_that_reads_other_tokens_is_a_failure_of_parity(
    masked_lm: Path, exports: Exports, tmp_path: Path
) -> None:
    cased = exports.checkpoint("fill-mask", cased=True)
    message = error_of(ParityError, measure, masked_lm, str(cased), plain(tmp_path), allow_different=True)
    assert "tokens of line 1" in message


@pytest.mark.parametrize(
    "problem_type", ["multi_label_classification", "regression"], ids=["labels at will", "several numbers"]
)
def test_a_bundle_that_no_measure_fits_is_refused(
    problem_type: str, exports: Exports, tmp_path: Path
) -> None:
    checkpoint = {"problem_type": problem_type}
    bundle = exports("text-classification", target="onnx", checkpoint=checkpoint).bundle
    message = error_of(UsageError, measure, bundle, "absent", plain(tmp_path))
    assert "neither one label of several nor one number" in message and problem_type in message


def test_the_measures_are_those_asked_for_in_that_order(
    classifier: Path, exports: Exports, tmp_path: Path
) -> None:
    source = Source.open(str(exports.checkpoint("text-classification")), "text-classification")
    data = labelled(tmp_path, [(text, None) for text in TEXTS], [0, 1, 2] * 3)
    wanted = measure(classifier, source, data, measures=["matthews", "accuracy", "matthews"])
    assert [score.measure for score in wanted.scores] == ["matthews", "accuracy"]
    assert wanted.score == wanted.scores[0]
    # F1 is that of one label against one other, and this model has three.
    message = error_of(UsageError, measure, classifier, source, data, measures=["f1"])
    assert "has no measure f1; it has accuracy, matthews" in message


def test_texts_that_have_no_pseudo_perplexity_are_refused(
    masked_lm: Path, classifier: Path, exports: Exports, tmp_path: Path
) -> None:
    reference = str(exports.checkpoint("fill-mask"))
    for texts, word in (
        (["The sea.", "The [MASK] was cold."], "line 2 of the data holds the mask token"),
        (["The sea.", "\u200b"], "line 2 of the data has no token"),
        (["The sea."], "needs two examples"),
    ):
        assert word in error_of(UsageError, measure, masked_lm, reference, plain(tmp_path, texts))
    surrogates = tmp_path / "data.jsonl"
    surrogates.write_text('{"text": "a"}\n{"text": "\\ud800"}\n', encoding="utf-8")
    message = error_of(UsageError, measure, masked_lm, reference, surrogates)
    assert message.startswith("line 2 of the data: ") and "surrogates" in message
    data = labelled(tmp_path, [("a", None)], [0])
    message = error_of(UsageError, measure, classifier, reference, data, masks_per_text=2)
    assert "has no masks" in message
