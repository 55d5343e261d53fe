from itertools import product

import pytest
import torch

from bertmobile.errors import UsageError

from ..helpers import TEXTS


def test_equals_the_softmax_of_the_reference_model(models, hf_tokenizer):
    model, network = models("next-sentence")
    labels = set()
    for text, pair in product(TEXTS[:6], TEXTS[2:8]):
        with torch.no_grad():
            logits = network(**hf_tokenizer(text, pair, return_tensors="pt")).logits[0]
        scores = logits.softmax(-1).tolist()
        answer = model((text, pair))
        labels.add(answer["label"])
        index = ["is_next", "not_next"].index(answer["label"])
        assert scores[index] == max(scores)
        assert answer["score"] == pytest.approx(scores[index], rel=1e-4)
    assert labels == {"is_next", "not_next"}


def test_a_single_text_is_a_usage_error(models):
    model, _ = models("next-sentence")
    with pytest.raises(UsageError, match=r"takes a pair \(text, text_pair\).*not a single text"):
        model("alone")
