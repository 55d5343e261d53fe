"""The network's text vectors are those of sentence-transformers, whatever its modules."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm
from torch import Tensor, nn

from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.checkpoint.sentence_transformers import ACTIVATIONS
from bertmobile_export.network import Network, build_network
from tests.sentence_models import MODES, TEXTS, make_sentence_model, oracle, seeded

PROMPT = "the page of a book: "


def loaded(folder: Path) -> Network:
    checkpoint = load_checkpoint(str(folder))
    return build_network(checkpoint.config, checkpoint.task, checkpoint.network_state)


def vectors(network: Network, features: dict[str, Tensor]) -> Tensor:
    inputs = {name: features[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    if network.takes_pooling_mask:
        pooled = inputs["attention_mask"].clone()
        pooled[:, : features.get("prompt_length", 0)] = 0
        inputs["pooling_mask"] = pooled
    return network(**inputs)["sentence_embedding"]


def check(folder: Path, prompt: str | None = None) -> None:
    """Compare a batch of texts of many lengths, and of each by itself."""
    model = oracle(folder)
    expected = model.encode(list(TEXTS), prompt=prompt)
    with torch.inference_mode():
        found = vectors(loaded(folder), model.preprocess(list(TEXTS), prompt=prompt))
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, atol=2e-5)
    assert found.shape == expected.shape


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_each_pooling(mode: str, include_prompt: bool, tmp_path: Path) -> None:
    folder = make_sentence_model(tmp_path / "model", (mode,), include_prompt=include_prompt)
    check(folder)
    check(folder, PROMPT)


@pytest.mark.parametrize("modes", [("mean", "cls"), ("lasttoken", "max", "weightedmean")])
def test_several_poolings_one_behind_the_other(modes: tuple[str, ...], tmp_path: Path) -> None:
    check(make_sentence_model(tmp_path / "model", modes))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_layers(activation: str, tmp_path: Path) -> None:
    function = getattr(nn, activation)()
    check(
        make_sentence_model(tmp_path / "model", steps=[seeded(Dense, 32, 24, activation_function=function)])
    )


@pytest.mark.parametrize("size", [32, 20])
def test_a_residual(size: int, tmp_path: Path) -> None:
    check(make_sentence_model(tmp_path / "model", steps=[seeded(Dense, 32, size, use_residual=True)]))


def test_many_modules_in_their_order(tmp_path: Path) -> None:
    steps = [
        Dropout(0.9),
        Normalize(),
        seeded(Dense, 64, 16, bias=False),
        seeded(LayerNorm, 16),
        seeded(Dense, 16, 24, activation_function=nn.Identity()),
        Normalize(),
    ]
    check(make_sentence_model(tmp_path / "model", ("cls", "mean"), steps, truncate_dim=10))


@pytest.mark.parametrize("mode", MODES)
def test_a_text_of_padding_only(mode: str, tmp_path: Path) -> None:
    """The library divides by no less than 1e-9, and takes a maximum of nothing to be minus infinity."""
    folder = make_sentence_model(tmp_path / "model", (mode,))
    nothing = torch.zeros(1, 9, dtype=torch.int64)
    features = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), nothing)
    with torch.inference_mode():
        found = vectors(loaded(folder), features)
        expected = oracle(folder)(dict(features))["sentence_embedding"]
    assert found.isfinite().all()
    if mode not in ("max", "cls"):
        torch.testing.assert_close(found, expected)
