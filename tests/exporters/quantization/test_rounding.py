"""Codes stand for the matrix that they were made from, as nearly as their format allows."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bertmobile_export.quantization import QuantizedMatrix
from bertmobile_export.quantization.grid import Levels, make_grid
from bertmobile_export.quantization.rounding import round_compensated, round_to_nearest
from bertmobile_export.recipes import WeightFormat

FORMS = [
    WeightFormat(8),
    WeightFormat(8, "tensor"),
    WeightFormat(4),
    WeightFormat(4, "block", 4),
    WeightFormat(4, "block", 32),
    WeightFormat(8, "block", 5),
    WeightFormat(2, "block", 3),
    WeightFormat(4, "scaled-block", 4),
    WeightFormat(5, "scaled-block", 8),
    WeightFormat(3, "palette", 1),
    WeightFormat(6, "palette", 1),
    WeightFormat(2, "scaled-palette"),
    WeightFormat(6, "scaled-palette"),
]
MATRICES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False),
)
SIZES = {"hidden": 48, "small": 12, "odd": 39}


def nearest(values: np.ndarray, form: WeightFormat, *, levels: Levels = "symmetric") -> QuantizedMatrix:
    weight = torch.from_numpy(values)
    return round_to_nearest(weight, make_grid(weight, form, levels=levels))


def inputs(columns: int, count: int = 400, seed: int = 0) -> torch.Tensor:
    """Correlated, as activations are."""
    mixing = torch.randn(columns // 3, columns, generator=torch.Generator().manual_seed(1))
    random = torch.Generator().manual_seed(seed)
    noise = 0.1 * torch.randn(count, columns, generator=random)
    return torch.randn(count, columns // 3, generator=random) @ mixing + noise


@settings(deadline=None, max_examples=150)
@given(values=MATRICES, form=st.sampled_from(FORMS))
def test_every_format_holds_finite_values_and_leaves_its_source_alone(
    values: np.ndarray, form: WeightFormat
) -> None:
    kept = values.copy()
    found = nearest(values, form)
    assert np.array_equal(values, kept)
    assert found.codes.shape == values.shape
    assert (found.scales > 0).all()
    assert np.isfinite(found.values()).all()
    low, high = (0, 2**form.bits - 1) if found.palettes is not None else (-(2 ** (form.bits - 1)), 127)
    assert found.codes.min() >= low and found.codes.max() <= high


@settings(deadline=None, max_examples=100)
@given(values=MATRICES, granularity=st.sampled_from(["channel", "tensor"]))
def test_at_8_bits_no_weight_is_far_from_its_own(values: np.ndarray, granularity: str) -> None:
    found = nearest(values, WeightFormat(8, granularity))  # type: ignore[arg-type]
    # The largest weight may be cut to 90 % of itself; all others keep within half a step of that range.
    size = np.abs(values).max(axis=1 if granularity == "channel" else None, keepdims=True)
    assert (np.abs(found.values() - values) <= 0.11 * size + 1e-30).all()
    # From the values alone, a quantizer that takes the largest finds the same scale again.
    for row, codes in zip(values, found.codes, strict=True):
        if granularity == "channel":
            assert np.abs(codes.astype(int)).max() == (127 if row.any() else 0)
    if granularity == "tensor" and values.any():
        assert np.abs(found.codes.astype(int)).max() == 127


@settings(deadline=None, max_examples=100)
@given(values=MATRICES, granularity=st.sampled_from(["channel", "tensor"]))
def test_with_a_zero_point_every_weight_comes_back_within_a_step(
    values: np.ndarray, granularity: str
) -> None:
    values[np.abs(values) < 1e-2] = 0  # half precision scales end below
    found = nearest(values, WeightFormat(8, granularity), levels="affine")  # type: ignore[arg-type]
    assert found.zeros is not None and found.zeros.dtype == np.int8
    assert (np.abs(found.values() - values) <= found.scales * 1.2).all()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.label} {form.granularity}")
def test_rows_of_zeros_constant_rows_and_outliers_are_held(form: WeightFormat) -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal((6, 40)).astype(np.float32)
    values[0], values[1] = 0, 0.25
    values[2, 7] *= 100
    found = nearest(values, form)
    error = np.linalg.norm(found.values() - values, axis=1)
    size = np.linalg.norm(values, axis=1)
    if form.granularity != "tensor":
        assert error[0] <= 1e-6 and error[1] <= 0.02 * size[1]
    assert error[2] < 0.2 * size[2]


@pytest.mark.parametrize("bits", [4, 8])
def test_scales_of_blocks_are_exact_in_the_files_type(bits: int) -> None:
    values = np.random.default_rng(0).standard_normal((7, 70)).astype(np.float32)
    scales = nearest(values, WeightFormat(bits, "block", 32)).scales
    assert scales.shape == (7, 3)
    assert np.array_equal(scales, torch.from_numpy(scales).to(torch.bfloat16).float().numpy())
    assert np.array_equal(scales, scales.astype(np.float16).astype(np.float32))


def test_more_bits_and_smaller_blocks_lose_less() -> None:
    values = np.random.default_rng(1).standard_t(4, (32, 96)).astype(np.float32)

    def lost(form: WeightFormat) -> float:
        return float(np.square(nearest(values, form).values() - values).mean())

    by_bits = [lost(WeightFormat(bits, "palette", 8)) for bits in (2, 3, 4, 6, 8)]
    assert by_bits == sorted(by_bits, reverse=True)
    by_block = [lost(WeightFormat(4, "block", size)) for size in (16, 32, 96)]
    assert by_block == sorted(by_block)
    assert lost(WeightFormat(8)) < lost(WeightFormat(4, "block", 16))


@pytest.mark.parametrize(
    "form",
    [
        WeightFormat(4, "block", 8),
        WeightFormat(4, "block", 16),
        WeightFormat(4),
        WeightFormat(8),
        WeightFormat(3, "palette", 4),
        WeightFormat(4, "scaled-palette"),
    ],
    ids=lambda form: f"{form.label} {form.granularity}",
)
@pytest.mark.parametrize("columns", SIZES.values(), ids=SIZES)
def test_compensated_rounding_changes_the_outputs_less_than_rounding_each_weight(
    form: WeightFormat, columns: int
) -> None:
    weight = torch.randn(20, columns, generator=torch.Generator().manual_seed(3))
    seen, unseen = inputs(columns), inputs(columns, seed=5)
    found = round_compensated(weight, seen.T @ seen, make_grid(weight, form))
    plain = round_to_nearest(weight, make_grid(weight, form))

    def lost(matrix: QuantizedMatrix) -> float:
        return float((unseen @ (torch.from_numpy(matrix.values()) - weight).T).square().sum())

    assert lost(found) < 0.8 * lost(plain)


@pytest.mark.parametrize("form", [WeightFormat(4, "block", 16), WeightFormat(4, "scaled-palette")])
def test_rounding_again_brings_the_outputs_nearer(form: WeightFormat) -> None:
    weight = torch.randn(20, 48, generator=torch.Generator().manual_seed(3))
    seen = inputs(48)
    moments = seen.T @ seen

    def lost(sweeps: int) -> float:
        matrix = round_compensated(weight, moments, make_grid(weight, form), sweeps=sweeps)
        change = torch.from_numpy(matrix.values()) - weight
        return float(((change @ moments) * change).sum())

    assert lost(3) < 0.98 * lost(0)
    assert lost(6) < 1.001 * lost(3)


def test_rows_of_any_size_share_a_scaled_palette() -> None:
    rows = torch.randn(64, 96, generator=torch.Generator().manual_seed(0))
    sizes = torch.logspace(-3, 2, 64).unsqueeze(1)
    scaled = nearest((rows * sizes).numpy(), WeightFormat(4, "scaled-palette")).values()
    alone = nearest(rows.numpy(), WeightFormat(4, "palette", 64)).values()
    by_size = np.square(scaled / sizes.numpy() - rows.numpy()).mean(axis=1)
    assert by_size.max() < 2 * np.square(alone - rows.numpy()).mean()


def test_a_scaled_palette_reaches_the_few_weights_that_are_far_from_all_others() -> None:
    values = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
    values[7, 3], values[11, 5] = 14, -20
    found = nearest(values, WeightFormat(4, "scaled-palette")).values()
    assert abs(found[7, 3] - 14) < 4 and abs(found[11, 5] + 20) < 5
    assert np.square(found - values).mean() < 0.02


def test_inputs_that_never_move_do_not_stop_compensation() -> None:
    weight = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    for seen in (torch.zeros(10, 24), torch.cat([inputs(12), torch.zeros(400, 12)], dim=1), inputs(24)[:1]):
        found = round_compensated(weight, seen.T @ seen, make_grid(weight, WeightFormat(4, "block", 8)))
        assert np.isfinite(found.values()).all()


def test_rows_cut_off_keep_what_they_stand_for() -> None:
    values = np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)
    for form, levels in ((WeightFormat(8), "affine"), (WeightFormat(4, "block", 8), "symmetric")):
        found = nearest(values, form, levels=levels)  # type: ignore[arg-type]
        assert np.array_equal(found.first_rows(3).values(), found.values()[:3])
    with pytest.raises(ValueError, match="palette"):
        nearest(values, WeightFormat(4, "palette", 2)).first_rows(3)


def costs_less_together(
    weight: torch.Tensor, moments: torch.Tensor, outputs: torch.Tensor, form: WeightFormat
) -> bool:
    def cost(matrix: QuantizedMatrix) -> float:
        error = torch.from_numpy(matrix.values()) - weight
        return float(((outputs @ error @ moments) * error).sum())

    alone = round_compensated(weight, moments, make_grid(weight, form))
    together = round_compensated(weight, moments, make_grid(weight, form), outputs=outputs)
    return cost(together) < cost(alone)


@pytest.mark.parametrize("form", [form for form in FORMS if form.bits < 8], ids=lambda form: form.label)
@pytest.mark.parametrize("shape", [(24, 48), (96, 24), (40, 33)], ids=str)
def test_rows_make_up_for_each_other_s_errors(form: WeightFormat, shape: tuple[int, int]) -> None:
    rows, columns = shape
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(2))
    read, heard = inputs(columns), inputs(rows, seed=5)
    moments, outputs = read.T @ read, heard.T @ heard

    assert costs_less_together(weight, moments, outputs, form)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("bits", [4, 5])
def test_rows_that_move_together_do_not_go_too_far(share: float, bits: int) -> None:
    rows, columns, form = 128, 32, WeightFormat(bits)
    random = torch.Generator().manual_seed(7)
    weight = torch.randn(rows, columns, generator=random)

    def uneven(size: int) -> torch.Tensor:
        direction = torch.ones(size) / size**0.5
        return (1 - share) * torch.eye(size) + share * size * torch.outer(direction, direction)

    moments, outputs = uneven(columns), uneven(rows)

    assert costs_less_together(weight, moments, outputs, form)


@settings(deadline=None, max_examples=100)
@given(
    values=MATRICES,
    form=st.sampled_from(FORMS),
    levels=st.sampled_from(get_args(Levels)),
    shift=st.integers(0, 11),
)
def test_a_weight_has_the_same_code_whichever_columns_are_asked_with_it(
    values: np.ndarray, form: WeightFormat, levels: Levels, shift: int
) -> None:
    weight = torch.from_numpy(values)
    rows, columns = weight.shape
    grid = make_grid(weight, form, levels=levels)
    for first in range(0, columns, grid.width):
        block = weight[:, first : first + grid.width]
        grid.fit(first, block, torch.ones(block.shape[1]))
    column = (torch.arange(rows) + shift) % columns
    along = grid.codes(column, weight[torch.arange(rows), column].unsqueeze(1))
    stand_for = grid.values(column, along)
    for row in range(rows):
        first = int(column[row])
        codes = grid.codes(first, weight[:, first : first + 1])
        assert along[row] == codes[row]
        assert stand_for[row] == grid.values(first, codes)[row]


def test_outputs_that_nobody_hears_are_rounded_as_if_alone() -> None:
    weight = torch.randn(8, 16, generator=torch.Generator().manual_seed(2))
    read, form = inputs(16), WeightFormat(4, "block", 4)
    moments = read.T @ read
    alone = round_compensated(weight, moments, make_grid(weight, form))
    unheard = round_compensated(weight, moments, make_grid(weight, form), outputs=torch.zeros(8, 8))
    np.testing.assert_array_equal(unheard.codes, alone.codes)
