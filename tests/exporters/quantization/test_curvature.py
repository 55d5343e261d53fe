"""Curvature says what an error costs where the head reads."""

import pytest
import torch

from bertmobile_export.network import Network
from bertmobile_export.network.encoder import PARTS, Layer
from bertmobile_export.quantization.curvature import LEAST, Curvature, curvature_of
from bertmobile_export.quantization.states import States, embed, read_by_head, run_layer
from tests.exporters.configs import make_plan

from .test_weights import PLAN, some_network, texts

NAMES = [f"encoder.layers.{index}.{part}" for index in range(2) for part in PARTS]


def test_tokens_that_no_head_reads_count_least() -> None:
    plan = make_plan("text-classification", target="onnx", lengths=(24,))
    torch.manual_seed(0)
    network = Network(plan.config, plan.task).eval().requires_grad_(False)
    batches = embed(network, texts(plan, 12, seed=1))
    found = curvature_of(network, batches, ()).tokens
    layers = plan.config.num_hidden_layers
    assert len(found) == 4 * layers
    last = torch.cat([each.reshape(12, -1) for each in found[f"encoder.layers.{layers - 1}.output"]])
    assert (last[:, 1:] == LEAST).all() and (last[:, 0] > 1).all()
    first = torch.cat(list(found["encoder.layers.0.query"]))
    assert (first > LEAST).all() and float(first.mean()) == pytest.approx(1)


def test_curvature_is_the_same_every_time() -> None:
    network = some_network()
    batches = embed(network, texts(PLAN, 200, seed=1))
    assert len(batches) > 2
    once, again = (curvature_of(network, batches, NAMES).to_tensors() for _ in range(2))
    torch.testing.assert_close(once, again, atol=0, rtol=0)


def read(network: Network, batches: list[States]) -> torch.Tensor:
    for layer in network.encoder.layers:
        assert isinstance(layer, Layer)
        batches, _ = run_layer(layer, batches)
    return read_by_head(network, batches)


def moved_by(network: Network, part: str, batches: list[States], error: torch.Tensor) -> float:
    """How far what the head reads moves when random multiples of an error are added to a part's outputs."""
    exact = read(network, batches)
    random = torch.Generator().manual_seed(3)
    module = network.get_submodule(part)

    def shift(module: torch.nn.Module, arguments: object, output: torch.Tensor) -> torch.Tensor:
        return output + 1e-3 * torch.randn(len(output), 1, generator=random) * error

    handle = module.register_forward_hook(shift)
    moved = read(network, batches)
    handle.remove()
    return float((moved - exact).square().sum())


@pytest.mark.parametrize("part", ["query", "value", "attention_output", "intermediate", "output"])
def test_errors_cost_more_where_curvature_says_so(part: str) -> None:
    network, name = some_network(), f"encoder.layers.0.{part}"
    batches = embed(network, texts(PLAN, 1_000, seed=1))  # as many random mixtures: few would point somewhere
    outputs = curvature_of(network, batches, [name]).outputs[name]
    directions = torch.linalg.eigh(outputs).eigenvectors
    chosen = directions[:, [0, directions.shape[1] // 2, -1]].T
    expected = [float(error @ outputs @ error) for error in chosen]
    found = [moved_by(network, name, batches, error) for error in chosen]
    assert found[2] > 4 * found[0]
    assert found[1] / found[2] == pytest.approx(expected[1] / expected[2], rel=0.5)


def test_an_error_that_normalisation_takes_away_costs_nothing_in_the_table() -> None:
    network = some_network()
    table = curvature_of(network, embed(network, texts(PLAN, 60, seed=1)), ()).table
    constant = torch.ones(len(table))
    assert float(constant @ table @ constant) < 1e-5 * float(table.diagonal().sum())
    torch.testing.assert_close(table, table.T)


def test_curvature_is_the_same_after_it_was_kept() -> None:
    network = some_network()
    found = curvature_of(network, embed(network, texts(PLAN, 90, seed=1)), NAMES)
    again = Curvature.from_tensors(found.to_tensors())
    torch.testing.assert_close(again.table, found.table, atol=0, rtol=0)
    torch.testing.assert_close(dict(again.outputs), dict(found.outputs), atol=0, rtol=0)
    torch.testing.assert_close(dict(again.tokens), dict(found.tokens), atol=0, rtol=0)
