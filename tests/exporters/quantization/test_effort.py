"""High effort reads more texts than there are, loses less, and goes on where it was stopped."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bertmobile.errors import UsageError
from bertmobile_export.checkpoint.sentence_transformers import Pooling, SentenceEmbedding
from bertmobile_export.network import Network
from bertmobile_export.quantization import quantize_weights, weights
from bertmobile_export.quantization.grid import Levels
from bertmobile_export.quantization.varied import COPIES, varied
from bertmobile_export.recipes import WeightFormat, parse_recipe, read_recipe, with_effort
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


class Stopped(Exception):
    pass


def stop_after(count: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise Stopped

    return progress


@pytest.mark.parametrize(
    "form",
    [NARROW, WeightFormat(4, "scaled-block", 16), WeightFormat(4, "scaled-palette"), WeightFormat(8)],
    ids=lambda form: form.label,
)
def test_a_rounding_that_was_stopped_goes_on_and_ends_the_same(
    form: WeightFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    high = replace(recipe(form, "compensated"), effort="high")
    samples, words = texts(PLAN, 20, seed=1), range(1, PLAN.config.vocab_size)
    whole, network = some_network(), some_network()
    levels: Levels = "affine" if form.bits == 8 else "symmetric"
    quantize_weights(whole, high, samples, words=words, levels=levels)
    with pytest.raises(Stopped):
        quantize_weights(
            network, high, samples, words=words, levels=levels, kept=tmp_path, progress=stop_after(1)
        )
    rounded: list[str] = []
    own = weights._quantize_layer

    def spy(network: Network, name: str, *others: Any) -> None:
        rounded.append(name)
        own(network, name, *others)

    monkeypatch.setattr(weights, "_quantize_layer", spy)
    monkeypatch.delattr(weights, "curvature_of")
    network = some_network()
    quantize_weights(network, high, samples, words=words, levels=levels, kept=tmp_path)
    assert rounded == [f"encoder.layers.{i}" for i in range(1, PLAN.config.num_hidden_layers)]
    assert network.codes.keys() == whole.codes.keys()
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, atol=0, rtol=0)


@pytest.mark.parametrize("change", ["recipe", "weights", "texts", "words", "pooling"])
def test_what_was_kept_of_another_rounding_is_not_used(change: str, tmp_path: Path) -> None:
    high = replace(recipe(NARROW, "compensated"), effort="high")
    samples, words = texts(PLAN, 20, seed=1), range(1, PLAN.config.vocab_size)
    quantize_weights(some_network(), high, samples, words=words, kept=tmp_path)
    before = list(tmp_path.rglob("*.safetensors"))
    network = some_network()
    if change == "recipe":
        high = replace(recipe(WeightFormat(4), "compensated"), effort="high")
    elif change == "weights":
        network.encoder.embeddings.norm.bias.add_(0.1)
    elif change == "texts":
        samples = texts(PLAN, 20, seed=2)
    elif change == "words":
        words = range(2, PLAN.config.vocab_size)
    else:
        network.config = replace(network.config, embedding=SentenceEmbedding(Pooling(("cls",))))
    quantize_weights(network, high, samples, words=words, kept=tmp_path)
    shared = 1 if change == "recipe" else 0  # curvature knows no formats
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2 * len(before) - shared


def test_a_file_that_was_kept_and_is_damaged_is_made_again(tmp_path: Path) -> None:
    high = replace(recipe(NARROW, "compensated"), effort="high")
    samples, words = texts(PLAN, 20, seed=1), range(1, PLAN.config.vocab_size)
    quantize_weights(some_network(), high, samples, words=words, kept=tmp_path)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    for path, content in kept.items():
        path.write_bytes(content[: len(content) // 2])
    quantize_weights(some_network(), high, samples, words=words, kept=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == kept


def test_nothing_is_kept_of_a_standard_effort(tmp_path: Path) -> None:
    quantize_weights(
        some_network(), recipe(NARROW, "compensated"), texts(PLAN, 8, seed=1), kept=tmp_path / "kept"
    )
    assert not (tmp_path / "kept").exists()


def test_a_table_that_a_decoder_shares_is_rounded_to_nearest() -> None:
    plan = make_plan("fill-mask", target="onnx", lengths=(24,))
    codes = []
    for effort in ("standard", "high"):
        torch.manual_seed(0)
        network = Network(plan.config, plan.task).eval().requires_grad_(False)
        own = replace(recipe(NARROW, "compensated"), effort=effort)
        own = replace(own, weights={**own.weights, "embeddings": NARROW, "head": WeightFormat(32)})
        quantize_weights(network, own, texts(plan, 8, seed=1), words=range(1, 9))
        codes.append(network.codes["encoder.embeddings.word"].codes)
    np.testing.assert_array_equal(codes[0], codes[1])


def test_a_folder_that_cannot_be_written_stops_no_rounding(tmp_path: Path) -> None:
    high = replace(recipe(NARROW, "compensated"), effort="high")
    (tmp_path / "file").write_text("")
    network = some_network()
    quantize_weights(network, high, texts(PLAN, 8, seed=1), words=[1], kept=tmp_path / "file")
    assert len(network.codes) == 6 * PLAN.config.num_hidden_layers
