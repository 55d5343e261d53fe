import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bertmobile.errors import UsageError
from bertmobile.model import Model

from ..conftest import tokenization
from ..helpers import LENGTHS, TEXTS, HashEngine, make_manifest

CLASSIC = json.loads(Path(__file__).with_name("question_answering.json").read_text(encoding="utf-8"))
QUESTION = "Where did Ada Lovelace meet him?"
CONTEXTS = [
    TEXTS[6],
    TEXTS[1],
    TEXTS[2],
    " ".join(
        f"In year {year} the naïve keeper of lighthouse {year * 7} slept." for year in range(1800, 1830)
    ),
]


def reference(network, tokenizer, question, context, *, top_k, longest, stride, max_answer_len=15):
    """The classic rules spelled out: every span of every window, then words, then sums of equal answers."""
    encoded = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=longest,
        stride=stride,
        return_overflowing_tokens=True,
    )
    sums, places = {}, {}
    for number, ids in enumerate(encoded["input_ids"]):
        encoding = encoded.encodings[number]
        with torch.no_grad():
            outputs = network(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([encoding.type_ids]))
        context_tokens = [i for i, text in enumerate(encoding.sequence_ids) if text == 1]
        kept = [0, *context_tokens]
        start, end = (
            dict(zip(kept, logits[0, kept].softmax(-1).tolist(), strict=True))
            for logits in (outputs.start_logits, outputs.end_logits)
        )
        spans = [
            (start[first] * end[last], first, last)
            for first in context_tokens
            for last in context_tokens
            if first <= last < first + max_answer_len
        ]
        for score, first, last in sorted(spans, reverse=True)[: 2 * top_k + 10]:
            begin = encoding.word_to_chars(encoding.token_to_word(first), 1)[0]
            stop = encoding.word_to_chars(encoding.token_to_word(last), 1)[1]
            key = context[begin:stop].lower()
            sums[key] = sums.get(key, 0) + score
            places.setdefault(key, (begin, stop))
    best = sorted(sums, key=sums.get, reverse=True)[:top_k]
    return [
        {
            "score": pytest.approx(sums[key], rel=1e-4),
            "start": places[key][0],
            "end": places[key][1],
            "answer": context[slice(*places[key])],
        }
        for key in best
    ]


@pytest.mark.parametrize("top_k", [1, 4])
@pytest.mark.parametrize("context", CONTEXTS)
def test_equals_the_classic_rules_spelled_out(models, hf_tokenizer, context, top_k):
    model, network = models("question-answering")
    expected = reference(
        network, hf_tokenizer, QUESTION, context, top_k=top_k, longest=LENGTHS[-1], stride=LENGTHS[-1] // 2
    )
    ours = model(question=QUESTION, context=context, top_k=top_k)
    assert ours == (expected[0] if top_k == 1 else expected)


@pytest.mark.parametrize("stride", [0, 7])
def test_doc_stride_equals_the_classic_rules_spelled_out(models, hf_tokenizer, stride):
    model, network = models("question-answering")
    expected = reference(
        network, hf_tokenizer, QUESTION, CONTEXTS[3], top_k=3, longest=LENGTHS[-1], stride=stride
    )
    assert model((QUESTION, CONTEXTS[3]), top_k=3, doc_stride=stride) == expected


@pytest.mark.parametrize("case", CLASSIC["cases"], ids=lambda case: f"{case['context']}{case['options']}")
def test_equals_the_pipeline_of_transformers_4(case):
    manifest = make_manifest("question-answering")
    model = Model(manifest, tokenization(manifest), HashEngine(manifest))
    ours = model(question=case["question"], context=CLASSIC["contexts"][case["context"]], **case["options"])
    # The classic pipeline unwraps a list of one, whatever top_k was, and fills a list up with empty answers
    # of score 0 when a context has fewer spans than it looks for.
    expected = case["answers"] if isinstance(case["answers"], list) else [case["answers"]]
    expected = [answer for answer in expected if answer["score"] > 0]
    ours = ours if isinstance(ours, list) else [ours]
    for mine, other in zip(ours, expected, strict=True):
        assert mine == {**other, "score": pytest.approx(other["score"], rel=1e-4)}


def test_long_contexts_are_answered_from_any_window():
    """An engine that points at one word finds it wherever it stands."""
    manifest = make_manifest("question-answering")

    class Pointing(HashEngine):
        def run(self, inputs):
            logits = (inputs["input_ids"] == needle).astype(np.float32) * 20
            return {"start_logits": logits, "end_logits": logits}

    model = Model(manifest, tokenization(manifest), Pointing(manifest))
    needle = model.encode("treasure").ids[1]
    for before in (0, 40, 63, 64, 200):
        context = "sand " * before + "Treasure" + " sand" * (300 - before)
        answer = model(question="what?", context=context)
        assert (answer["answer"], answer["start"]) == ("Treasure", 5 * before)


def test_top_k_1_gives_one_dictionary_and_more_give_a_list(models):
    model, _ = models("question-answering")
    assert isinstance(model((QUESTION, "Ada.")), dict)
    assert isinstance(model((QUESTION, "Ada."), top_k=5), list)


@pytest.mark.parametrize("item", [("", "context"), ("question", ""), ("question", " \n"), "alone",
                                  {"question": "q"}, {"question": "q", "text": "c"}])  # fmt: skip
def test_missing_or_empty_texts_are_usage_errors(models, item):
    model, _ = models("question-answering")
    with pytest.raises(UsageError):
        model(item)


@pytest.mark.parametrize("options", [{"top_k": 0}, {"max_answer_len": 0}, {"doc_stride": -1}])
def test_wrong_option_values_are_usage_errors(models, options):
    model, _ = models("question-answering")
    with pytest.raises(UsageError):
        model((QUESTION, CONTEXTS[3]), **options)
