"""Packages answer as the network that they were made from."""

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
from bertmobile_export.parity.metrics import cosine
from bertmobile_export.targets.coreml.target import IOS_VERSIONS, STATIC_ACTIVATIONS_IOS
from tests.checkpoints import MODELS

from .packages import Package, recipe, some_inputs

Write = Callable[..., Package]
# The worst cosine of one output, as tiny random networks have it; real ones lose less.
COSINE = {"float16": 0.9999, "int8": 0.999, "int8-static": 0.997}
RECIPES = ("float32", *COSINE)


def case(task: str, name: str, ios: int) -> Any:
    newest = ios == IOS_VERSIONS[-1]
    quick = (task == "fill-mask" and (newest or name == "int8")) or (newest and name == "float32")
    return pytest.param(task, name, ios, marks=() if quick else pytest.mark.slow)


# Another system means other operators, whatever the task; another task means another head.
CASES = [
    case(task, name, ios)
    for task in MODELS
    for name in RECIPES
    for ios in IOS_VERSIONS
    if name != "int8-static" or ios >= STATIC_ACTIVATIONS_IOS
]


@pytest.mark.parametrize(("task", "name", "ios"), CASES)
def test_every_task_recipe_and_system_answers_as_the_network(
    task: str, name: str, ios: int, package: Write
) -> None:
    written = package(task, name, ios)
    for length in written.plan.lengths:
        inputs = some_inputs(written.plan, length, length - 3)
        expected = written.expected(inputs)
        for rounding in (False, True):
            actual = written.run(inputs, rounding=rounding)
            assert list(actual) == list(expected)
            for output, values in expected.items():
                assert actual[output].shape == values.shape
                if name == "float32":
                    np.testing.assert_allclose(actual[output], values, atol=1e-5)
                else:
                    assert cosine(actual[output][0], values[0]) >= COSINE[name]


@pytest.mark.parametrize("bits", [(16, 8, 32), (8, 32, 16), (32, 16, 8), (16, 16, 8)])
@pytest.mark.parametrize("ios", [16, 18])
def test_groups_of_weights_have_widths_of_their_own(bits: tuple[int, ...], ios: int, package: Write) -> None:
    written = package("fill-mask", recipe(*bits), ios)
    inputs = some_inputs(written.plan, 24, 20)
    actual, expected = written.run(inputs)["logits"], written.expected(inputs)["logits"]
    assert 0.999 <= cosine(actual[0], expected[0]) < 1
    kinds = written.kinds()
    assert (kinds["constexpr_cast"] > 0) == (32 in bits)  # float16 weights of a float32 program
    assert kinds["constexpr_affine_dequantize"] + kinds["constexpr_blockwise_shift_scale"] > 0


@pytest.mark.parametrize("ios", [16, 18])
def test_one_scale_for_a_whole_matrix_answers_too(ios: int, package: Write) -> None:
    written = package("feature-extraction", recipe(8, 8, 8, granularity="tensor"), ios)
    inputs = some_inputs(written.plan, 24, 20)
    output = "sentence_embedding"
    assert 0.99 <= cosine(written.run(inputs)[output][0], written.expected(inputs)[output][0]) < 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tied", [True, False])
def test_activations_and_decoders_of_their_own(activation: str, tied: bool, package: Write) -> None:
    config = {"hidden_act": activation, "tie_word_embeddings": tied}
    written = package("fill-mask", "float32", config=config)
    inputs = some_inputs(written.plan, 8, 8)
    np.testing.assert_allclose(written.run(inputs)["logits"], written.expected(inputs)["logits"], atol=1e-5)


def test_full_logits_need_no_positions(package: Write) -> None:
    written = package("fill-mask", "float32", full_logits=True)
    inputs = some_inputs(written.plan, 24, 20)
    actual = written.run(inputs)["logits"]
    assert actual.shape[1] == 24
    np.testing.assert_allclose(actual, written.expected(inputs)["logits"], atol=1e-5)


@pytest.mark.parametrize("include_prompt", [False, True])
@pytest.mark.parametrize("mode", get_args(PoolingMode))
@pytest.mark.parametrize("name", ["float32", "float16"])
def test_text_vectors_are_pooled_in_float32(
    mode: PoolingMode, include_prompt: bool, name: str, package: Write
) -> None:
    """Sums over tokens and squared lengths leave the range of float16; padding counts in none of them."""
    embedding = SentenceEmbedding(Pooling((mode, "mean"), include_prompt), (Normalize(),))
    written = package("feature-extraction", name, embedding=embedding)
    inputs = some_inputs(written.plan, 24, 5)
    actual = written.run(inputs, rounding=True)["sentence_embedding"][0]
    expected = written.expected(inputs)["sentence_embedding"][0]
    assert np.linalg.norm(actual) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(actual, expected, atol=1e-5 if name == "float32" else 2e-3)


@pytest.mark.parametrize("ios", [16, 18])  # of one length and of several
def test_a_row_of_padding_only_pools_to_finite_numbers(ios: int, package: Write) -> None:
    embedding = SentenceEmbedding(Pooling(get_args(PoolingMode), include_prompt=False), (Normalize(),))
    written = package("feature-extraction", "float16", ios, embedding=embedding)
    inputs = {name: np.zeros_like(values) for name, values in some_inputs(written.plan, 24, 5).items()}
    assert np.isfinite(written.run(inputs)["sentence_embedding"]).all()
