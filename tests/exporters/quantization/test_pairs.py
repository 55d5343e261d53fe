"""Paired codes: what processors without VNNI add up in 16 bits always fits there, and little is lost."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bertmobile_export.network import Network
from bertmobile_export.quantization import QuantizedMatrix, quantize_weights
from bertmobile_export.quantization.grid import Levels, make_grid
from bertmobile_export.quantization.rounding import round_compensated, round_to_nearest
from bertmobile_export.recipes import WeightFormat, read_recipe
from bertmobile_export.sizes import WORD_TABLE
from tests.exporters.configs import make_plan

from .test_rounding import MATRICES

FORMS = [
    WeightFormat(8),
    WeightFormat(8, "tensor"),
    WeightFormat(6),
    WeightFormat(5),
    WeightFormat(4, "scaled-block", 4),
    WeightFormat(4, "scaled-block", 16),
    WeightFormat(5, "scaled-block", 8),
]
LARGEST_ACTIVATION = 255


def multiplied(matrix: QuantizedMatrix) -> NDArray[np.int8]:
    """The codes that a kernel multiplies."""
    codes = matrix.codes if matrix.multipliers is None else matrix.row_codes()
    assert codes.dtype == np.int8
    return codes


def saturates(codes: NDArray[np.int8]) -> bool:
    """Whether some activations make two products too large for 16 bits."""
    products = LARGEST_ACTIVATION * np.pad(codes, ((0, 0), (0, codes.shape[1] % 2))).astype(np.int64)
    pairs = products.reshape(len(codes), -1, 2)
    limits = np.iinfo(np.int16)
    above, below = pairs.clip(min=0).sum(axis=2), pairs.clip(max=0).sum(axis=2)
    return bool(above.max() > limits.max or below.min() < limits.min)


def normal(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(3))


@settings(deadline=None, max_examples=150)
@given(values=MATRICES, form=st.sampled_from(FORMS))
def test_no_activations_make_a_pair_of_products_saturate(values: np.ndarray, form: WeightFormat) -> None:
    weight = torch.from_numpy(values)
    found = round_to_nearest(weight, make_grid(weight, form, levels="paired"))
    assert not saturates(multiplied(found))
    assert np.isfinite(found.values()).all()


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.label} {form.granularity}")
@pytest.mark.parametrize("columns", [48, 33])
def test_nor_do_codes_that_make_up_for_each_other(form: WeightFormat, columns: int, together: bool) -> None:
    weight = normal(24, columns)
    # Inputs that move as one let a weight stray far from its own value.
    seen = torch.ones(columns, columns) + 0.01 * torch.eye(columns)
    outputs = torch.ones(24, 24) + 0.1 * torch.eye(24) if together else None
    grid = make_grid(weight, form, levels="paired")
    assert not saturates(multiplied(round_compensated(weight, seen, grid, outputs=outputs)))


@pytest.mark.parametrize("form", [form for form in FORMS if form.bits == 8 or form.granularity != "channel"])
def test_codes_that_only_lie_around_zero_can_saturate(form: WeightFormat) -> None:
    weight = normal(24, 48)
    assert saturates(multiplied(round_to_nearest(weight, make_grid(weight, form))))


def test_far_less_is_lost_than_with_a_bit_less() -> None:
    weight = normal(256, 384)

    def lost(form: WeightFormat, levels: Levels) -> float:
        values = round_to_nearest(weight, make_grid(weight, form, levels=levels)).values()
        return float(np.square(values - weight.numpy()).mean())

    exact = lost(WeightFormat(8), "symmetric")
    assert lost(WeightFormat(8), "paired") < 1.8 * exact
    assert lost(WeightFormat(7), "symmetric") > 3 * exact


@pytest.mark.parametrize("task", ["fill-mask", "feature-extraction"])
def test_tables_that_are_only_looked_up_lose_nothing(task: str) -> None:
    plan = make_plan(task)

    def codes(levels: Levels) -> dict[str, NDArray[np.int8]]:
        torch.manual_seed(0)
        network = Network(plan.config, plan.task).eval().requires_grad_(False)
        quantize_weights(network, read_recipe("int8"), levels=levels)
        return {name: multiplied(matrix) for name, matrix in network.codes.items()}

    plain, paired = codes("symmetric"), codes("paired")
    shared = {WORD_TABLE} if task == "fill-mask" else set()
    for name, found in paired.items():
        if "embeddings" in name and name not in shared:
            np.testing.assert_array_equal(found, plain[name])
        else:
            assert not saturates(found), name
