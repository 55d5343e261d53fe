"""Each task's measures on float32 bundles of tiny checkpoints, against transformers asked directly."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef
from transformers import (
    AutoTokenizer,
    BertForNextSentencePrediction,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

import bertmobile
from bertmobile import ParityError, UsageError, load
from bertmobile_bench.accuracy import Accuracy, Source, answers, measure
from bertmobile_export.threads import one_thread_each
from tests.exports import LABELS, Exports
from tests.messages import error_of

from .test_accuracy import TEXTS, copied, labelled

PAIRS = [*pairwise(TEXTS), *zip(TEXTS, TEXTS[3:], strict=False)]
TAGS = LABELS["token-classification"]
SCORES = np.random.default_rng(0).uniform(0, 5, len(PAIRS)).round(2).tolist()
ONE_NUMBER = {"id2label": {0: "likeness"}, "label2id": {"likeness": 0}}
TWO_LABELS = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}


@pytest.fixture(autouse=True, scope="module")
def single() -> Any:
    with one_thread_each(), torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def made(exports: Exports) -> Callable[..., tuple[Path, Path]]:
    """The bundle and the checkpoint of a task."""

    def make(task: str, **checkpoint: Any) -> tuple[Path, Path]:
        bundle = exports(task, target="onnx", checkpoint=checkpoint or None).bundle
        return bundle, exports.checkpoint(task, **checkpoint)

    return make


def outputs(model: Any, folder: Path, *texts: Any, **settings: Any) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(*texts, truncation=True, max_length=64, return_tensors="pt", **settings)
    return model.from_pretrained(folder).eval()(**encoded), encoded


def names(result: Accuracy) -> list[str]:
    for score in result.scores:
        assert score.interval[0] <= score.change <= score.interval[1]
    return [score.measure for score in result.scores]


# --- text-classification


def test_f1_and_matthews_of_two_labels_are_those_of_scikit_learn(made: Any, tmp_path: Path) -> None:
    bundle, checkpoint = made("text-classification", **TWO_LABELS)
    told = [int(outputs(BertForSequenceClassification, checkpoint, *p)[0].logits.argmax()) for p in PAIRS]
    true = [1 - label if number % 3 == 0 else label for number, label in enumerate(told)]
    # MRPC's columns.
    rows = [f"{label}\t1\t2\t{a}\t{b}\n" for (a, b), label in zip(PAIRS, true, strict=True)]
    data = tmp_path / "dev.tsv"
    data.write_text("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n" + "".join(rows), "utf-8")
    result = measure(bundle, str(checkpoint), data)
    assert names(result) == ["accuracy", "f1", "matthews"]
    expected = [np.mean(np.equal(true, told)), f1_score(true, told), matthews_corrcoef(true, told)]
    assert [score.reference for score in result.scores] == pytest.approx(expected)
    assert [score.bundle for score in result.scores] == pytest.approx(expected)
    assert {score.flipped for score in result.scores} == {0.0}


@pytest.mark.parametrize("kind", [{"problem_type": "regression"}, {}], ids=["regression", "cross-encoder"])
def test_one_number_is_correlated_as_scipy_does_it(made: Any, tmp_path: Path, kind: dict[str, str]) -> None:
    bundle, checkpoint = made("text-classification", **ONE_NUMBER, **kind)
    logits = [outputs(BertForSequenceClassification, checkpoint, *p)[0].logits for p in PAIRS]
    told = [(value if kind else value.sigmoid()).item() for value in logits]
    result = measure(bundle, str(checkpoint), labelled(tmp_path, PAIRS, SCORES))
    assert names(result) == ["pearson", "spearman"]
    expected = [pearsonr(SCORES, told).statistic, spearmanr(SCORES, told).statistic]
    assert [score.reference for score in result.scores] == pytest.approx(expected, abs=1e-5)
    assert [score.bundle for score in result.scores] == pytest.approx(expected, abs=1e-4)
    assert result.score.flipped < 0.02 and result.score.unit == "difference"


# --- next-sentence


def test_next_sentences_are_judged_as_by_transformers(made: Any, tmp_path: Path) -> None:
    bundle, checkpoint = made("next-sentence")
    told = [int(outputs(BertForNextSentencePrediction, checkpoint, *p)[0].logits.argmax()) for p in PAIRS]
    labels = [("is_next", "not_next")[label] for label in told]
    labels[0] = str(1 - told[0])
    result = measure(bundle, str(checkpoint), labelled(tmp_path, PAIRS, labels))
    assert names(result) == ["accuracy"] and result.score.count == len(PAIRS)
    assert result.score.reference == result.score.bundle == pytest.approx(1 - 1 / len(PAIRS))
    single = labelled(tmp_path, [(TEXTS[0], None)] * 2, [0, 1])
    assert "has no second text" in error_of(UsageError, measure, bundle, str(checkpoint), single)


# --- feature-extraction


def test_cosines_are_those_of_mean_states_correlated_as_scipy_does_it(made: Any, tmp_path: Path) -> None:
    bundle, checkpoint = made("feature-extraction")
    vectors = {
        text: outputs(BertModel, checkpoint, text)[0].last_hidden_state[0].mean(dim=0) for text in TEXTS
    }
    told = [torch.cosine_similarity(vectors[a], vectors[b], dim=0).item() for a, b in PAIRS]
    result = measure(bundle, str(checkpoint), labelled(tmp_path, PAIRS, SCORES))
    assert names(result) == ["spearman", "pearson"]
    expected = [spearmanr(SCORES, told).statistic, pearsonr(SCORES, told).statistic]
    assert [score.reference for score in result.scores] == pytest.approx(expected, abs=1e-5)
    assert [score.bundle for score in result.scores] == pytest.approx(expected, abs=1e-3)
    # The long text is in two of the pairs.
    assert result.truncated == sum(TEXTS[-1] in pair for pair in PAIRS)


# --- token-classification

SENTENCES = [text.replace(".", " .").replace(",", " ,").split() for text in TEXTS] + [
    ["U.S.-based", "Ada", "O'Brien's", "\u200b", "film", "東京", "[SEP]"]
]

# The oracle below reads no more than one run.
SHORT = [words for words in SENTENCES if len(words) < 50]


def tagged_by_transformers(checkpoint: Path, words: Sequence[str]) -> list[str]:
    """The label of each word's first token, by the library's own map from tokens to words."""
    found, encoded = outputs(BertForTokenClassification, checkpoint, words, is_split_into_words=True)
    told = ["O"] * len(words)
    for place in reversed(range(encoded["input_ids"].shape[1])):
        word = encoded.word_ids()[place]
        if word is not None:
            told[word] = TAGS[int(found.logits[0, place].argmax())]
    return told


def write_tags(folder: Path, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> Path:
    path = folder / "data.jsonl"
    rows = [{"tokens": a, "tags": b} for a, b in zip(sentences, tags, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_words_have_the_tags_that_transformers_gives_to_their_first_tokens(made: Any, tmp_path: Path) -> None:
    bundle, checkpoint = made("token-classification")
    tags = [tagged_by_transformers(checkpoint, words) for words in SHORT]
    assert any(tag != "O" for sentence in tags for tag in sentence)
    result = measure(bundle, str(checkpoint), write_tags(tmp_path, SHORT, tags))
    assert names(result) == ["f1", "precision", "recall", "accuracy"]
    assert [(s.reference, s.bundle, s.flipped) for s in result.scores] == 4 * [(1.0, 1.0, 0.0)]
    words = sum(map(len, SHORT))
    assert result.score.count == words and result.texts == len(SHORT) and result.truncated == 0

    # Another tag for one word, which was an entity of its own or a part of one.
    tags[0] = ["O"] * len(tags[0])
    other = measure(
        bundle, str(checkpoint), write_tags(tmp_path, SHORT, tags), measures=["recall", "precision"]
    )
    recall, precision = other.scores
    assert recall.reference == 1.0 and precision.bundle < 1.0


def test_a_long_sentence_is_tagged_to_its_last_word(made: Any, tmp_path: Path) -> None:
    bundle, checkpoint = made("token-classification")
    (words,) = [words for words in SENTENCES if words not in SHORT]
    tags = [word["entity"] for word in _first_tokens(bundle, words)]
    result = measure(
        bundle, str(checkpoint), write_tags(tmp_path, [words] * 2, [tags] * 2), measures=["accuracy"]
    )
    assert (result.score.bundle, result.score.count, result.truncated) == (1.0, 2 * len(words), 0)
    assert tags[-len(words) // 4 :] != ["O"] * len(tags[-len(words) // 4 :])


def _first_tokens(bundle: Path, words: Sequence[str]) -> list[dict[str, Any]]:
    """The answer for the first token of each word."""
    with load(bundle) as model:
        tokens = model(list(words), is_split_into_words=True, ignore_labels=[])[0]
    begins = np.cumsum([0, *(len(word) + 1 for word in words[:-1])])
    return [next(token for token in tokens if token["start"] == begin) for begin in begins]


def test_padding_of_a_bundle_is_nothing_to_the_reference(made: Any, exports: Exports, tmp_path: Path) -> None:
    dynamic, checkpoint = made("token-classification")
    padded = exports("token-classification", target="onnx", portable=True).bundle
    tags = [["B-PER"] * len(words) for words in SENTENCES]
    source = Source.open(str(checkpoint), "token-classification")
    data = write_tags(tmp_path, SENTENCES, tags)
    first = measure(dynamic, source, data)
    asked = dict(source._outputs)
    assert len(asked) == len(SENTENCES) + 1  # the long one takes two runs
    again = measure(padded, source, data)
    # It has answered each sentence once, for both bundles.
    assert source._outputs.keys() == asked.keys()
    assert all(source._outputs[key] is found for key, found in asked.items())
    assert again.scores == first.scores


def test_a_tagger_that_finds_nothing_loses_all_entities(made: Any, tmp_path: Path) -> None:
    bundle, checkpoint = made("token-classification")
    with torch.inference_mode(False):
        model = BertForTokenClassification.from_pretrained(checkpoint)
        with torch.no_grad():
            model.classifier.bias[0] += 100.0
        reference = copied(checkpoint, tmp_path, model)
    tags = [tagged_by_transformers(checkpoint, words) for words in SHORT]
    data = write_tags(tmp_path, SHORT, tags)
    result = measure(bundle, str(reference), data, allow_different=True)
    f1, precision, recall, accuracy = result.scores
    assert [s.reference for s in (f1, precision, recall)] == [0.0] * 3 and f1.bundle == 1.0
    assert f1.change == 100.0 and f1.interval == (100.0, 100.0)
    share = sum(tag != "O" for sentence in tags for tag in sentence) / accuracy.count
    assert accuracy.flipped == pytest.approx(share) and accuracy.reference == pytest.approx(1 - share)


def test_data_without_entities_have_an_accuracy_only(made: Any, tmp_path: Path) -> None:
    bundle, checkpoint = made("token-classification")
    data = write_tags(tmp_path, SENTENCES[:2], [["O"] * len(words) for words in SENTENCES[:2]])
    message = error_of(UsageError, measure, bundle, str(checkpoint), data)
    assert "hold no entity" in message and "--measure accuracy" in message
    assert names(measure(bundle, str(checkpoint), data, measures=["accuracy"])) == ["accuracy"]


# --- question-answering

CONTEXTS = (
    "The sea was cold and far from the old city.",
    "They found a letter, and the letter said that the car was in Paris.",
    " ".join(f"Then, on day {day}, the man walked to house {day} and back." for day in range(30)),
)
QUESTIONS = [(question, context) for context in CONTEXTS for question in ("Where?", "What was cold?", "Who?")]


def write_questions(folder: Path, right: Sequence[str]) -> Path:
    entries = [
        {"context": context, "qas": [{"id": f"q{n}", "question": question, "answers": [{"text": answer}]}]}
        for n, ((question, context), answer) in enumerate(zip(QUESTIONS, right, strict=True))
    ]
    path = folder / "dev-v1.1.json"
    path.write_text(json.dumps({"data": [{"paragraphs": entries}]}), "utf-8")
    return path


def answered_by_transformers(checkpoint: Path, question: str, context: str) -> str:
    """The likeliest answer of one window: of at most 15 tokens, widened to words, equal ones together."""
    found, encoded = outputs(BertForQuestionAnswering, checkpoint, question, context)
    start, end = (scores[0].softmax(-1) for scores in (found.start_logits, found.end_logits))
    inside = [place for place, sequence in enumerate(encoded.sequence_ids()) if sequence == 1]
    spans = [(float(start[a] * end[b]), a, b) for a in inside for b in inside if a <= b < a + 15]
    scores: Counter[str] = Counter()
    for score, *ends in sorted(spans, reverse=True)[:12]:
        begin, stop = (
            encoded.word_to_chars(encoded.token_to_word(place), sequence_index=1) for place in ends
        )
        scores[context[begin.start : stop.end]] += score
    return scores.most_common(1)[0][0]


def test_answers_are_counted_by_exact_match_and_f1(made: Any, tmp_path: Path) -> None:
    bundle, checkpoint = made("question-answering")
    with bertmobile.load(bundle) as model:
        told = [model(question=q, context=c)["answer"] for q, c in QUESTIONS]
    assert told[:6] == [answered_by_transformers(checkpoint, *item) for item in QUESTIONS[:6]]
    right = [*told[:-2], "day 1", "the man"]
    source = Source.open(str(checkpoint), "question-answering")
    result = measure(bundle, source, write_questions(tmp_path, right))
    assert names(result) == ["exact-match", "f1"]
    exact = np.mean([answers.exact_match(a, [b]) for a, b in zip(told, right, strict=True)])
    f1 = np.mean([answers.f1(a, [b]) for a, b in zip(told, right, strict=True)])
    assert 0 < exact < 1 and exact <= f1 < 1
    assert [score.reference for score in result.scores] == pytest.approx([exact, f1])
    assert [(score.bundle, score.flipped) for score in result.scores] == [
        (pytest.approx(exact), 0.0),
        (pytest.approx(f1), 0.0),
    ]
    # The long context has several windows, each of which the reference has answered once.
    assert result.truncated == 0 and len(source._outputs) > len(QUESTIONS)


def test_questions_that_no_run_can_hold_are_named(made: Any, exports: Exports, tmp_path: Path) -> None:
    bundle, checkpoint = made("question-answering")
    data = tmp_path / "d.jsonl"
    rows = [{"question": q, "context": "The sea.", "answers": ["sea"]} for q in ("Who?", "who " * 80)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    message = error_of(UsageError, measure, bundle, str(checkpoint), data)
    assert message.startswith("line 2 of the data: the question has 80 tokens")
    cased = str(exports.checkpoint("question-answering", cased=True))
    message = error_of(ParityError, measure, bundle, cased, data, allow_different=True)
    assert "tokens of line 1 are not those" in message
