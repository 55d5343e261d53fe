"""Activations are those of transformers, in their values and in how far below zero they reach."""

import pytest
import torch
from transformers.activations import ACT2FN

from bertmobile_export.activations import ACTIVATIONS
from bertmobile_export.network.encoder import Activation

FAR = torch.cat([torch.linspace(-12, 12, 20_001), torch.tensor([-1e4, 1e4])])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_that_of_transformers(name: str) -> None:
    torch.testing.assert_close(Activation(name)(FAR), ACT2FN[name](FAR), atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_none_reaches_further_below_zero_than_its_table_says(name: str) -> None:
    least = ACTIVATIONS[name].least
    lowest = -float(Activation(name)(FAR).min())
    assert lowest >= 1 if least is None else least - 0.02 <= lowest <= least + 1e-4


def test_those_without_a_formula_are_these() -> None:
    """A new name in transformers has to be looked at."""
    assert set(ACT2FN) - set(ACTIVATIONS) == {"prelu", "sqrtsoftplus", "xielu"}
