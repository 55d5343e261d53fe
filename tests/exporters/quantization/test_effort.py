"""High effort reads more texts than there are, and weighs their tokens by what the head hears of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bertmobile.errors import UsageError
from bertmobile_export.network import Network
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.quantization.effort import COPIES, LEAST, importance, varied
from bertmobile_export.quantization.states import embed
from bertmobile_export.recipes import parse_recipe, read_recipe, with_effort
from tests.exporters.configs import make_plan
from tests.messages import error_of

from .test_weights import NARROW, PLAN, lost, recipe, some_network, states_after, texts


@given(lengths=st.lists(st.integers(2, 12), min_size=1, max_size=4), padding=st.integers(0, 3))
def test_varied_texts_have_other_words_in_places_of_words_alone(lengths: list[int], padding: int) -> None:
    samples = []
    for length in lengths:
        ids = np.arange(1, length + 1)[None]
        mask = np.ones_like(ids)
        samples.append(
            {
                "input_ids": np.pad(ids, ((0, 0), (0, padding))),
                "attention_mask": np.pad(mask, ((0, 0), (0, padding))),
            }
        )
    found = list(varied(samples, [100, 101]))
    assert len(found) == COPIES * len(samples)
    for index, text in enumerate(found):
        source = samples[index % len(samples)]
        length = lengths[index % len(samples)]
        changed = text["input_ids"] != source["input_ids"]
        assert not changed[0, [0, length - 1]].any() and not changed[0, length:].any()
        assert set(text["input_ids"][changed].tolist()) <= {100, 101}
        assert text["attention_mask"] is source["attention_mask"]


def test_a_vocabulary_without_words_varies_nothing() -> None:
    assert list(varied(texts(PLAN, 3, seed=0), [])) == []


def test_tokens_that_no_head_reads_count_least() -> None:
    plan = make_plan("text-classification", target="onnx", lengths=(24,))
    torch.manual_seed(0)
    network = Network(plan.config, plan.task).eval().requires_grad_(False)
    batches = embed(network, texts(plan, 12, seed=1))
    found = importance(network, batches)
    layers = plan.config.num_hidden_layers
    assert len(found) == 4 * layers
    last = torch.cat([each.reshape(12, -1) for each in found[f"encoder.layers.{layers - 1}.output"]])
    assert (last[:, 1:] == LEAST).all() and (last[:, 0] > 1).all()
    first = torch.cat(found["encoder.layers.0.query"])
    assert (first > LEAST).all() and float(first.mean()) == pytest.approx(1)


def test_importance_is_the_same_every_time() -> None:
    network = some_network()
    batches = embed(network, texts(PLAN, 12, seed=1))
    once, again = importance(network, batches), importance(network, batches)
    for name, weights in once.items():
        for left, right in zip(weights, again[name], strict=True):
            torch.testing.assert_close(left, right, atol=0, rtol=0)


def test_high_effort_loses_less_where_texts_are_few() -> None:
    standard = recipe(NARROW, "compensated")
    words = range(1, PLAN.config.vocab_size)
    exact, network = some_network(), some_network()
    few, unseen = texts(PLAN, 20, seed=1), texts(PLAN, 60, seed=2)
    quantize_weights(network, replace(standard, effort="high"), few, words=words)
    wanted = states_after(exact, unseen)
    high = float((states_after(network, unseen) - wanted).square().sum() / wanted.square().sum())
    assert high < lost(standard, few, unseen)


def test_an_effort_is_part_of_the_recipe_that_is_replayed() -> None:
    high = with_effort(read_recipe("mixed"), "high")
    assert parse_recipe(dict(high.document), source="replayed").effort == "high"


def test_no_effort_changes_rounding_to_nearest() -> None:
    message = error_of(UsageError, with_effort, read_recipe("int8"), "high")
    assert "int8 rounds each weight to nearest" in message and "--int4" in message
