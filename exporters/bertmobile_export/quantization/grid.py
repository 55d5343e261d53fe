"""The values that a format has for the weights of a matrix, and which of them is nearest."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bertmobile_export.quantization.matrix import QuantizedMatrix
from bertmobile_export.quantization.pairs import LARGEST_SUM, pair_limits, pair_reach
from bertmobile_export.recipes import WeightFormat

Levels = Literal["symmetric", "paired", "affine"]
"""Of a row of 8 bits: around zero, the same without pairs that saturate (see :mod:`~.pairs`), or all 256."""

# Scales that are tried, as parts of the one that reaches the largest weight. Clipping a few weights leaves
# finer steps for all others; the fewer the levels, the more it pays.
_PARTS = {8: (0.9, 1.0, 3)}
_PARTS_OF_FEW_LEVELS = (0.5, 1.1, 25)
# float16's smallest number with full precision.
SMALLEST_SCALE = 2.0**-14
# Of a block's scale, as a multiple of its row's: what four bits hold.
LARGEST_MULTIPLIER = 15
# Of a row of zeros whose palette has no zero: float16's smallest number.
NO_SCALE = 2.0**-24
# Lloyd's iterations for a palette; later ones move its values by less than float16 can tell.
PALETTE_ROUNDS = 12
HISTOGRAM_CELLS = 4_096
# Palette and scales in turn, and from how many rows.
SCALE_ROUNDS = 3
PALETTE_ROWS = 1_024
FAR_ROWS = 128


class Grid(ABC):
    """Levels for each place of a matrix [rows, columns], fitted block by block of columns.

    Args:
        weight: float32 [rows, columns].
        form: bits and what shares the levels.
    """

    def __init__(self, weight: Tensor, form: WeightFormat) -> None:
        self.form = form
        self.rows, self.columns = weight.shape

    @property
    def width(self) -> int:
        """Columns that are fitted together."""
        return self.columns

    @abstractmethod
    def fit(self, first: int, weight: Tensor, importance: Tensor) -> None:
        """Choose the levels of ``width`` columns.

        Args:
            first: the first of them.
            weight: float32 [rows, n], their weights.
            importance: float32 [n], how much the square of an error counts in each.
        """

    @abstractmethod
    def codes(self, first: int | Tensor, weight: Tensor) -> Tensor:
        """The codes of ``weight`` [rows, n] at the columns from ``first`` on, all in one block.

        ``first`` is the same for all rows, or int64 [rows].
        """

    @abstractmethod
    def values(self, first: int | Tensor, codes: Tensor) -> Tensor:
        """What ``codes`` [rows, n] stand for there."""

    def refit(self, first: int, codes: Tensor, slope: Tensor, moments: Tensor) -> Tensor:
        """Fit the levels of the block at ``first`` to its codes, where that can be done alone.

        Args:
            first: the block's first column.
            codes: [rows, n], the block's.
            slope: float32 [rows, n], half of the error's slope along each value.
            moments: float32 [n, n], half of its curvature.

        Returns:
            What the codes stand for now, float32 [rows, n].
        """
        return self.values(first, codes)

    @abstractmethod
    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        """All that was chosen; ``codes`` are [rows, columns]."""


class UniformGrid(Grid):
    """Equal steps around zero, one size for each block of a row, for each row, or for the matrix.

    Args:
        weight: float32 [rows, columns].
        form: bits and what shares the levels.
        paired: whether integer kernels multiply the codes, which pairs of them must not saturate.
    """

    def __init__(self, weight: Tensor, form: WeightFormat, *, paired: bool = False) -> None:
        super().__init__(weight, form)
        levels = 2 ** (form.bits - 1)
        # 8 bits leave out -128, which runtimes do not expect among weights; of 16 levels none is spared.
        self._low, self._high = (1 - levels if form.bits == 8 else -levels), levels - 1
        self.scales = torch.ones(self.rows, -(-self.columns // self.width))
        self._paired = paired
        self._limits = torch.empty(2, self.rows, self.columns, dtype=torch.int8) if paired else None
        # At 8 bits the largest weight keeps the outermost code, from which a quantizer that sees only the
        # values finds the same scale again.
        largest, self._pinned = weight.abs().max(dim=1)
        self._pins = (largest == largest.amax()) if form.granularity == "tensor" else largest > 0
        self._pins &= form.bits == 8 and form.granularity != "block" and not paired
        self._pinned_codes = torch.sign(weight.gather(1, self._pinned.unsqueeze(1))[:, 0]) * self._high

    @property
    def width(self) -> int:
        return self.form.block_size or self.columns

    def fit(self, first: int, weight: Tensor, importance: Tensor) -> None:
        largest = weight.abs().amax(dim=1)
        if self._paired:
            largest = torch.maximum(largest, pair_reach(weight) * (self._high / LARGEST_SUM))
        if self.form.granularity == "tensor":
            largest = largest.amax().expand_as(largest)
        best = least = None
        start, stop, count = _PARTS.get(self.form.bits, _PARTS_OF_FEW_LEVELS)
        for part in np.linspace(start, stop, count):
            scale = self._stored(largest * (float(part) / self._high)).unsqueeze(1)
            error = self._error(weight, scale, importance)
            if self.form.granularity == "tensor":
                error = error.sum().expand_as(error)
            if best is None or least is None:
                best, least = scale, error
            else:
                better = error < least
                best, least = torch.where(better, scale, best), torch.where(better, error, least)
        assert best is not None
        self.scales[:, first // self.width] = best[:, 0]
        self._limit(first, weight / best)

    def _error(self, weight: Tensor, scale: Tensor, importance: Tensor, multiplier: float = 1) -> Tensor:
        """What rounding to steps of ``scale`` [rows, 1] would lose, [rows, 1]."""
        steps = weight / scale
        codes = steps.round()
        if self._paired:
            codes.clamp_(*self._paired_limits(steps, torch.tensor([[multiplier]])))
        else:
            codes.clamp_(self._low, self._high)
        return (codes.mul_(scale).sub_(weight).square_() @ importance).unsqueeze(1)

    def _paired_limits(self, steps: Tensor, multipliers: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest code for weights of so many steps; products have ``multipliers``."""
        lower, upper = pair_limits(steps, LARGEST_SUM // multipliers)
        return lower.clamp_(min=self._low), upper.clamp_(max=self._high)

    def _limit(self, first: int, steps: Tensor, multipliers: Tensor | None = None) -> None:
        """Keep the codes of the block at ``first`` within what its weights, in steps, leave each other."""
        if self._limits is None:
            return
        multipliers = torch.ones(1, 1) if multipliers is None else multipliers
        block = self._limits[:, :, first : first + steps.shape[1]]
        block[0], block[1] = self._paired_limits(steps, multipliers)

    def _stored(self, scale: Tensor) -> Tensor:
        """The nearest scale that the file can hold; a row of zeros gets one that can be divided by."""
        if self.form.granularity == "block":
            scale = scale.to(torch.bfloat16).to(torch.float32)
            return torch.where(scale > 0, scale.clamp(SMALLEST_SCALE, 2.0**15), 1.0)
        return torch.where(scale > 0, scale, 1.0)

    def _scale(self, first: int | Tensor) -> Tensor:
        if isinstance(first, Tensor):
            return self.scales.gather(1, (first // self.width).unsqueeze(1))
        return self.scales[:, first // self.width].unsqueeze(1)

    def codes(self, first: int | Tensor, weight: Tensor) -> Tensor:
        codes = (weight / self._scale(first)).round_()
        if self._limits is None:
            codes.clamp_(self._low, self._high)
        elif isinstance(first, Tensor):
            columns = first.unsqueeze(1) + torch.arange(codes.shape[1])
            codes.clamp_(*(each.gather(1, columns) for each in self._limits))
        else:
            codes.clamp_(*self._limits[:, :, first : first + codes.shape[1]])
        places = self._pinned - first
        inside = self._pins & (places >= 0) & (places < codes.shape[1])
        codes[inside, places[inside]] = self._pinned_codes[inside]
        return codes

    def values(self, first: int | Tensor, codes: Tensor) -> Tensor:
        return codes * self._scale(first)

    def refit(self, first: int, codes: Tensor, slope: Tensor, moments: Tensor) -> Tensor:
        if self.form.granularity == "block":  # others are pinned to their largest weight
            found = _refitted(self._scale(first)[:, 0], codes, slope, moments)
            self.scales[:, first // self.width] = self._stored(found)
        return self.values(first, codes)

    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        return QuantizedMatrix(self.form, codes.to(torch.int8).numpy(), self.scales.numpy())


class ScaledBlockGrid(UniformGrid):
    """Equal steps around zero for each block of a row, whole multiples of the row's.

    So that a block's codes become codes of the row, and integer kernels need one scale for each row
    (progressive group quantization in QServe, Lin et al., 2024, https://arxiv.org/abs/2405.04532).
    """

    def __init__(self, weight: Tensor, form: WeightFormat, *, paired: bool = False) -> None:
        super().__init__(weight, form, paired=paired)
        self._most = min(LARGEST_MULTIPLIER, 127 // -self._low)
        # A few of the weights that are rounded later are larger: they are clipped, or their codes are.
        largest = weight.abs().amax(dim=1, keepdim=True) / (self._high * self._most)
        if paired:
            largest = torch.maximum(largest, pair_reach(weight).unsqueeze(1) / LARGEST_SUM)
        self._row_scales = torch.where(largest > 0, largest, 1.0)
        self._multipliers = torch.ones_like(self.scales)

    def fit(self, first: int, weight: Tensor, importance: Tensor) -> None:
        best, least = torch.ones(self.rows, 1), torch.full((self.rows, 1), torch.inf)
        for multiplier in range(1, self._most + 1):
            error = self._error(weight, self._row_scales * multiplier, importance, multiplier)
            better = error < least
            best = torch.where(better, float(multiplier), best)
            least = torch.where(better, error, least)
        self._take(first, best, weight)

    def _take(self, first: int, multipliers: Tensor, weight: Tensor) -> None:
        """Give the block at ``first`` multipliers [rows, 1]."""
        scales = self._row_scales * multipliers
        block = first // self.width
        self._multipliers[:, block] = multipliers[:, 0]
        self.scales[:, block] = scales[:, 0]
        self._limit(first, weight / scales, multipliers)

    def refit(self, first: int, codes: Tensor, slope: Tensor, moments: Tensor) -> Tensor:
        before = self._scale(first)
        found = _refitted(before[:, 0], codes, slope, moments).unsqueeze(1) / self._row_scales
        self._take(first, found.round_().clamp_(1, self._most), codes * before)
        return self.values(first, codes)

    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        multipliers = self._multipliers.to(torch.uint8).numpy()
        return QuantizedMatrix(
            self.form, codes.to(torch.int8).numpy(), self._row_scales.numpy(), multipliers=multipliers
        )


class AffineGrid(Grid):
    """256 equal steps from the smallest value of a row, or 0, to its largest.

    Where a row's largest value is on one side, half of the symmetric codes are never used.
    """

    def fit(self, first: int, weight: Tensor, importance: Tensor) -> None:
        low, high = weight.amin(dim=1).clamp(max=0), weight.amax(dim=1).clamp(min=0)
        if self.form.granularity == "tensor":
            low, high = low.amin().expand_as(low), high.amax().expand_as(high)
        # A row of zeros, such as that of [PAD], still needs a scale that can be divided by. Core ML keeps
        # these scales in half precision.
        scale = ((high - low) / 255).to(torch.float16).to(torch.float32)
        self._scales = torch.where(scale > 0, scale, 1.0).unsqueeze(1)
        self._zeros = (torch.round(-low.unsqueeze(1) / self._scales) - 128).clamp(-128, 127)

    def codes(self, first: int | Tensor, weight: Tensor) -> Tensor:
        return ((weight / self._scales).round_() + self._zeros).clamp_(-128, 127)

    def values(self, first: int | Tensor, codes: Tensor) -> Tensor:
        return (codes - self._zeros) * self._scales

    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        zeros = self._zeros[:, 0].to(torch.int8).numpy()
        return QuantizedMatrix(self.form, codes.to(torch.int8).numpy(), self._scales.numpy(), zeros)


class PaletteGrid(Grid):
    """Values of its own for each group of rows, found by k-means in one dimension.

    Lloyd's algorithm (Lloyd, 1982, https://doi.org/10.1109/TIT.1982.1056489).
    """

    def __init__(self, weight: Tensor, form: WeightFormat) -> None:
        super().__init__(weight, form)
        self._groups = self.rows // (form.block_size or self.rows)
        self._scales = torch.ones(self.rows, 1)

    def fit(self, first: int, weight: Tensor, importance: Tensor) -> None:
        mass = importance.expand(len(weight), -1)
        self._palettes = self._fitted(weight, mass).to(torch.float16).to(torch.float32)

    def _fitted(self, weight: Tensor, mass: Tensor) -> Tensor:
        """Palettes [groups, entries] for weights whose squared errors count as much as ``mass``."""
        entries = 2**self.form.bits
        values, mass = weight.reshape(self._groups, -1), mass.reshape(self._groups, -1)
        palette = _spread(values, mass, entries)
        for _ in range(PALETTE_ROUNDS):
            index = _nearest(palette, values)
            weights = torch.zeros_like(palette).scatter_add_(1, index, mass)
            sums = torch.zeros_like(palette).scatter_add_(1, index, mass * values)
            # A value that nothing is nearest to stays where it is.
            palette = torch.where(weights > 0, sums / weights, palette)
            palette = palette.sort(dim=1).values
        return palette

    def codes(self, first: int | Tensor, weight: Tensor) -> Tensor:
        values = (weight / self._scales).reshape(self._groups, -1)
        return _nearest(self._palettes, values).reshape(weight.shape)

    def values(self, first: int | Tensor, codes: Tensor) -> Tensor:
        values = self._palettes.gather(1, codes.reshape(self._groups, -1).long()).reshape(codes.shape)
        return values * self._scales

    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        return QuantizedMatrix(
            self.form, codes.to(torch.uint8).numpy(), self._scales.numpy(), palettes=self._palettes.numpy()
        )


class ScaledPaletteGrid(PaletteGrid):
    """One palette for the matrix, and a scale for each row that brings it to the palette's size."""

    def fit(self, first: int, weight: Tensor, importance: Tensor) -> None:
        sizes = weight.square().mean(dim=1, keepdim=True).sqrt_()
        sizes = torch.where(sizes > 0, sizes, 1.0)
        # Most rows of one size spread alike, and some show what all need. Not so those that reach far beyond
        # their size: in a table of words, the most frequent ones.
        order = (weight.abs().amax(dim=1, keepdim=True) / sizes)[:, 0].argsort(stable=True)
        usual = order[:: -(-len(order) // PALETTE_ROWS)]
        chosen = torch.cat([usual, order[-FAR_ROWS:]])
        some, size = weight[chosen], sizes[chosen]
        mass = importance.expand(len(some), -1)
        for _ in range(SCALE_ROUNDS):
            self._palettes = self._fitted(some / size, mass * size.square())
            size = self._scaled(some, size, importance)
        # The outermost value is 1, so that a scale says what a row can hold.
        reach = self._palettes.abs().amax()
        self._palettes = (self._palettes / reach).to(torch.float16).to(torch.float32)
        largest = weight.abs().amax(dim=1, keepdim=True)
        best = least = torch.full((len(weight), 1), torch.inf)
        for scales in (sizes * reach, torch.where(largest > 0, largest, 1.0)):
            for _ in range(SCALE_ROUNDS):
                scales = self._scaled(weight, scales, importance)
            scales = scales.clamp(SMALLEST_SCALE, 2.0**15).to(torch.float16).to(torch.float32)
            error = (self._nearest_values(weight, scales) * scales - weight).square_() @ importance
            better = error.unsqueeze(1) < least
            best, least = torch.where(better, scales, best), torch.where(better, error.unsqueeze(1), least)
        self._scales = torch.where(largest > 0, best, NO_SCALE)

    def refit(self, first: int, codes: Tensor, slope: Tensor, moments: Tensor) -> Tensor:
        scales = _refitted(self._scales[:, 0], self._palettes[0][codes.long()], slope, moments)
        self._scales = scales.clamp(NO_SCALE, 2.0**15).to(torch.float16).to(torch.float32).unsqueeze(1)
        return self.values(first, codes)

    def _nearest_values(self, weight: Tensor, scales: Tensor) -> Tensor:
        """Of the palette for ``weight / scales``, [rows, columns]."""
        index = _nearest(self._palettes, (weight / scales).reshape(1, -1))
        return self._palettes[0][index].reshape(weight.shape)

    def _scaled(self, weight: Tensor, scales: Tensor, importance: Tensor) -> Tensor:
        """The scales of least squared error for the values that are nearest with ``scales``, [rows, 1]."""
        values = self._nearest_values(weight, scales)
        found = ((values * weight) @ importance) / (values.square() @ importance)
        found = found.unsqueeze(1)
        return torch.where(torch.isfinite(found) & (found > 0), found, scales)


def _refitted(scales: Tensor, values: Tensor, slope: Tensor, moments: Tensor) -> Tensor:
    """The scales of rows for which the squared error is least along ``values`` [rows, n]; never below 0."""
    change = (slope * values).sum(dim=1) / ((values @ moments) * values).sum(dim=1)
    found = scales - change
    return torch.where(torch.isfinite(found) & (found > 0), found, scales)


def _spread(values: Tensor, mass: Tensor, entries: int) -> Tensor:
    """Where the search for palettes begins, [groups, entries], ascending.

    Many levels lose least when they lie as densely as the cube root of what is to be told apart (Panter and
    Dite, 1951, https://doi.org/10.1109/JRPROC.1951.230419): few large weights get levels, too.
    """
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    width = ((high - low) / HISTOGRAM_CELLS).clamp(min=torch.finfo(values.dtype).tiny)
    cell = ((values - low) / width).long().clamp_(max=HISTOGRAM_CELLS - 1)
    density = torch.zeros(len(values), HISTOGRAM_CELLS).scatter_add_(1, cell, mass)
    reached = density.pow_(1 / 3).cumsum_(dim=1)
    wanted = torch.linspace(0, 1, 2 * entries + 1)[1::2] * reached[:, -1:]
    return low + (torch.searchsorted(reached, wanted.contiguous()) + 0.5) * width


def _nearest(palette: Tensor, values: Tensor) -> Tensor:
    """Indices into ``palette`` [groups, entries], ascending, for ``values`` [groups, n]."""
    middles = (palette[:, 1:] + palette[:, :-1]) / 2
    return torch.searchsorted(middles.contiguous(), values.contiguous())


def make_grid(weight: Tensor, form: WeightFormat, *, levels: Levels = "symmetric") -> Grid:
    """The grid of a format.

    Args:
        weight: float32 [rows, columns].
        form: fewer than 16 bits.
        levels: of a row, or of the matrix, that is of 8 bits in products.
    """
    if form.granularity == "palette":
        return PaletteGrid(weight, form)
    if form.granularity == "scaled-palette":
        return ScaledPaletteGrid(weight, form)
    if form.granularity == "scaled-block":
        return ScaledBlockGrid(weight, form, paired=levels == "paired")
    whole = form.bits == 8 and form.granularity in ("channel", "tensor")
    if levels == "affine" and whole:
        return AffineGrid(weight, form)
    return UniformGrid(weight, form, paired=levels == "paired" and whole)
