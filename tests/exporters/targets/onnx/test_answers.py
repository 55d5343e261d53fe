"""Both forms compute what the network computes: exactly in float32, closely where weights are rounded."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest

from bertmobile_export.activations import ACTIVATIONS
from bertmobile_export.checkpoint.sentence_transformers import (
    Normalize,
    Pooling,
    PoolingMode,
    SentenceEmbedding,
)
from bertmobile_export.network.encoder import SCALES
from bertmobile_export.network.equalisation import QuantizedActivations
from tests.checkpoints import MODELS

from .models import LONGEST, Written, some_inputs

TASKS = list(MODELS)
FORMS = [pytest.param(False, id="runtime"), pytest.param(True, id="portable")]
Write = Callable[..., Written]
VARIANTS: list[dict[str, Any]] = [
    *({"hidden_act": name} for name in ACTIVATIONS if name != "gelu"),
    {"type_vocab_size": 1},
    {"num_attention_heads": 3, "hidden_size": 36, "intermediate_size": 20},
    {"num_attention_heads": 1},
    {"num_hidden_layers": 1},
]


def check(file: Written) -> None:
    """Equal to the network for texts of several lengths, alone and, where the file allows it, in batches."""
    if not file.plan.dynamic:
        for tokens in (4, 13, LONGEST):
            file.assert_equal(some_inputs(file.plan, [tokens], LONGEST, seed=tokens))
        return
    for batch in ([1], [4], [11], [LONGEST], [9, 4, 7], [5, LONGEST, 13]):
        file.assert_equal(some_inputs(file.plan, batch, seed=len(batch)))
    file.assert_equal(some_inputs(file.plan, [5, 6], LONGEST))


@pytest.mark.parametrize("portable", FORMS)
@pytest.mark.parametrize("task", TASKS)
def test_float32_answers_are_those_of_the_network(written: Write, task: str, portable: bool) -> None:
    check(written(task, portable=portable))


@pytest.mark.parametrize("portable", FORMS)
@pytest.mark.parametrize("task", ["fill-mask", "text-classification"])
def test_so_are_those_of_every_row(written: Write, task: str, portable: bool) -> None:
    file = written(task, portable=portable, full_logits=True)
    assert "mask_positions" not in [each.name for each in file.model.graph.input]
    check(file)


@pytest.mark.parametrize("portable", FORMS)
@pytest.mark.parametrize("bert", VARIANTS, ids=str)
def test_so_are_those_of_other_shapes_of_bert(written: Write, bert: dict[str, Any], portable: bool) -> None:
    check(written("fill-mask", bert=bert, portable=portable))
    check(written("text-classification", bert=bert, portable=portable))


@pytest.mark.parametrize("portable", FORMS)
@pytest.mark.parametrize("recipe", ["float32", "int8-static"])
def test_so_are_those_of_a_decoder_of_its_own(written: Write, recipe: str, portable: bool) -> None:
    file = written("fill-mask", recipe, bert={"tie_word_embeddings": False}, portable=portable)
    shape = (file.plan.config.vocab_size, file.plan.config.hidden_size)
    tables = [name for name, values in file.weights().items() if values.shape in (shape, shape[::-1])]
    assert len(tables) == 2
    if recipe == "float32":
        check(file)
    else:
        assert min(file.cosines(some_inputs(file.plan, [20], LONGEST))) > 0.98


@pytest.mark.parametrize("portable", FORMS)
@pytest.mark.parametrize("include_prompt", [False, True])
@pytest.mark.parametrize("mode", get_args(PoolingMode))
def test_text_vectors_are_pooled_as_the_config_says(
    written: Write, mode: PoolingMode, include_prompt: bool, portable: bool
) -> None:
    pooling = Pooling((mode, "mean"), include_prompt)
    embedding = SentenceEmbedding(pooling, (Normalize(),), truncate=50)
    check(written("feature-extraction", embedding=embedding, portable=portable))


@pytest.mark.parametrize("recipe", ["float32", "float16"])
@pytest.mark.parametrize("portable", FORMS)
def test_a_row_of_padding_only_pools_to_finite_numbers(written: Write, portable: bool, recipe: str) -> None:
    embedding = SentenceEmbedding(Pooling(get_args(PoolingMode), include_prompt=False), (Normalize(),))
    file = written("feature-extraction", recipe, embedding=embedding, portable=portable)
    inputs = some_inputs(file.plan, [LONGEST])
    found = file.run({name: np.zeros_like(values) for name, values in inputs.items()})
    assert np.isfinite(found["sentence_embedding"]).all()


@pytest.mark.parametrize("portable", FORMS)
@pytest.mark.parametrize("task", TASKS)
def test_every_layer_is_that_of_the_network(written: Write, task: str, portable: bool) -> None:
    file = written(task, portable=portable, every_layer=True)
    assert "embeddings" in [each.name for each in file.model.graph.output]
    check(file)


@pytest.mark.parametrize("portable", FORMS)
@pytest.mark.parametrize("task", TASKS)
def test_scales_at_every_place_are_applied(written: Write, task: str, portable: bool) -> None:
    """Not as equalisation sets them, which would cancel out: a scale that is left out must show."""
    file = written(task, portable=portable, scaled=True)
    check(file)
    plain = written(task, portable=portable)
    inputs = some_inputs(file.plan, [LONGEST])
    for layer in file.network.encoder.layers:
        for name in SCALES:
            kept = getattr(layer, name)
            setattr(layer, name, None)
            assert any(
                np.abs(values - file.expected(inputs)[output]).max() > 1e-4
                for output, values in file.run(inputs).items()
            ), name
            setattr(layer, name, kept)
    assert plain.expected(inputs).keys() == file.expected(inputs).keys()


@pytest.mark.parametrize("portable", FORMS)
@pytest.mark.parametrize(
    "activations", [QuantizedActivations("tensor"), QuantizedActivations("static", outputs=True)], ids=str
)
def test_an_equalised_network_computes_the_same(
    written: Write, activations: QuantizedActivations, portable: bool
) -> None:
    plain = written("fill-mask", portable=portable)
    even = written("fill-mask", portable=portable, equalised=activations)
    assert even.kinds()["Mul"] > plain.kinds()["Mul"]
    check(even)
    inputs = some_inputs(plain.plan, [17], LONGEST)
    for name, values in plain.run(inputs).items():
        np.testing.assert_allclose(even.run(inputs)[name], values, rtol=0, atol=2e-5)


CLOSE = [
    ("float16", False, False, 0.9999),
    ("float16", True, False, 0.9999),
    ("int8", False, False, 0.995),
    ("int8", False, True, 0.995),
    ("int8-static", False, True, 0.985),
    ("int8-static", True, False, 0.985),
    ("int8-static", True, True, 0.985),
]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("recipe", "portable", "equalised", "bound"), CLOSE)
def test_rounded_weights_stay_close(
    written: Write, task: str, recipe: str, portable: bool, equalised: bool, bound: float
) -> None:
    file = written(task, recipe, portable=portable, equalised=equalised)
    found = [
        cosine
        for seed, tokens in enumerate((4, 9, 16, LONGEST))
        for cosine in file.cosines(some_inputs(file.plan, [tokens], LONGEST if portable else None, seed))
    ]
    assert min(found) > bound


@pytest.mark.parametrize("recipe", ["int8", "int8-static"])
@pytest.mark.parametrize("task", ["fill-mask", "feature-extraction"])
def test_scales_at_every_place_are_applied_to_rounded_weights(written: Write, task: str, recipe: str) -> None:
    file = written(task, recipe, scaled=True)
    assert min(file.cosines(some_inputs(file.plan, [LONGEST]))) > 0.97


def test_converting_says_nothing(written: Write, capfd: pytest.CaptureFixture[str]) -> None:
    written("fill-mask", "int8", ort=True)
    assert capfd.readouterr() == ("", "")
