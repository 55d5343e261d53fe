"""The values that a format has for the weights of a matrix, and which of them is nearest."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from bertmobile_export.quantization.matrix import QuantizedMatrix
from bertmobile_export.recipes import WeightFormat

# Scales that are tried, as parts of the one that reaches the largest weight. Clipping a few weights leaves
# finer steps for all others; the fewer the levels, the more it pays.
_PARTS = {8: (0.9, 1.0, 3)}
_PARTS_OF_FEW_LEVELS = (0.5, 1.1, 25)
# float16's smallest number with full precision.
SMALLEST_SCALE = 2.0**-14
# Lloyd's iterations for a palette; later ones move its values by less than float16 can tell.
PALETTE_ROUNDS = 12


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
    def codes(self, first: int, weight: Tensor) -> Tensor:
        """The codes of ``weight`` [rows, n] at the columns from ``first`` on, all in one block."""

    @abstractmethod
    def values(self, first: int, codes: Tensor) -> Tensor:
        """What ``codes`` [rows, n] stand for there."""

    @abstractmethod
    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        """All that was chosen; ``codes`` are [rows, columns]."""


class UniformGrid(Grid):
    """Equal steps around zero, one size for each block of a row, for each row, or for the matrix."""

    def __init__(self, weight: Tensor, form: WeightFormat) -> None:
        super().__init__(weight, form)
        levels = 2 ** (form.bits - 1)
        # 8 bits leave out -128, which runtimes do not expect among weights; of 16 levels none is spared.
        self._low, self._high = (1 - levels if form.bits == 8 else -levels), levels - 1
        self.scales = torch.ones(self.rows, -(-self.columns // self.width))
        # At 8 bits the largest weight keeps the outermost code, from which a quantizer that sees only the
        # values finds the same scale again.
        largest, self._pinned = weight.abs().max(dim=1)
        self._pins = (largest == largest.amax()) if form.granularity == "tensor" else largest > 0
        self._pins &= form.bits == 8 and form.granularity != "block"
        self._pinned_codes = torch.sign(weight.gather(1, self._pinned.unsqueeze(1))[:, 0]) * self._high

    @property
    def width(self) -> int:
        return self.form.block_size or self.columns

    def fit(self, first: int, weight: Tensor, importance: Tensor) -> None:
        largest = weight.abs().amax(dim=1)
        if self.form.granularity == "tensor":
            largest = largest.amax().expand_as(largest)
        best = least = None
        start, stop, count = _PARTS.get(self.form.bits, _PARTS_OF_FEW_LEVELS)
        for part in np.linspace(start, stop, count):
            scale = self._stored(largest * (float(part) / self._high)).unsqueeze(1)
            codes = (weight / scale).round_().clamp_(self._low, self._high)
            error = (codes.mul_(scale).sub_(weight).square_() @ importance).unsqueeze(1)
            if self.form.granularity == "tensor":
                error = error.sum().expand_as(error)
            if best is None or least is None:
                best, least = scale, error
            else:
                better = error < least
                best, least = torch.where(better, scale, best), torch.where(better, error, least)
        assert best is not None
        self.scales[:, first // self.width] = best[:, 0]

    def _stored(self, scale: Tensor) -> Tensor:
        """The nearest scale that the file can hold; a row of zeros gets one that can be divided by."""
        if self.form.granularity == "block":
            scale = scale.to(torch.bfloat16).to(torch.float32)
            return torch.where(scale > 0, scale.clamp(SMALLEST_SCALE, 2.0**15), 1.0)
        return torch.where(scale > 0, scale, 1.0)

    def _scale(self, first: int) -> Tensor:
        return self.scales[:, first // self.width].unsqueeze(1)

    def codes(self, first: int, weight: Tensor) -> Tensor:
        codes = (weight / self._scale(first)).round_().clamp_(self._low, self._high)
        places = self._pinned - first
        inside = self._pins & (places >= 0) & (places < codes.shape[1])
        codes[inside, places[inside]] = self._pinned_codes[inside]
        return codes

    def values(self, first: int, codes: Tensor) -> Tensor:
        return codes * self._scale(first)

    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        return QuantizedMatrix(self.form, codes.to(torch.int8).numpy(), self.scales.numpy())


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

    def codes(self, first: int, weight: Tensor) -> Tensor:
        return ((weight / self._scales).round_() + self._zeros).clamp_(-128, 127)

    def values(self, first: int, codes: Tensor) -> Tensor:
        return (codes - self._zeros) * self._scales

    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        zeros = self._zeros[:, 0].to(torch.int8).numpy()
        return QuantizedMatrix(self.form, codes.to(torch.int8).numpy(), self._scales.numpy(), zeros)


class PaletteGrid(Grid):
    """Values of its own for each group of rows, found by k-means in one dimension.

    Lloyd's algorithm (Lloyd, 1982, https://doi.org/10.1109/TIT.1982.1056489) from equally filled cells.
    """

    def __init__(self, weight: Tensor, form: WeightFormat) -> None:
        super().__init__(weight, form)
        assert form.block_size is not None
        self._groups = self.rows // form.block_size

    def fit(self, first: int, weight: Tensor, importance: Tensor) -> None:
        entries = 2**self.form.bits
        values = weight.reshape(self._groups, -1)
        mass = importance.expand(len(weight), -1).reshape(self._groups, -1)
        cells = torch.linspace(0, 1, 2 * entries + 1)[1::2]
        # Of a large group a sample: its quantiles are only where the search begins.
        sample = values[:, :: -(-values.shape[1] // 4096)]
        palette = torch.quantile(sample, cells, dim=1).T.contiguous()
        for _ in range(PALETTE_ROUNDS):
            index = _nearest(palette, values)
            weights = torch.zeros_like(palette).scatter_add_(1, index, mass)
            sums = torch.zeros_like(palette).scatter_add_(1, index, mass * values)
            # A value that nothing is nearest to stays where it is.
            palette = torch.where(weights > 0, sums / weights, palette)
            palette = palette.sort(dim=1).values
        self._palettes = palette.to(torch.float16).to(torch.float32)

    def codes(self, first: int, weight: Tensor) -> Tensor:
        values = weight.reshape(self._groups, -1)
        return _nearest(self._palettes, values).reshape(weight.shape)

    def values(self, first: int, codes: Tensor) -> Tensor:
        return self._palettes.gather(1, codes.reshape(self._groups, -1).long()).reshape(codes.shape)

    def matrix(self, codes: Tensor) -> QuantizedMatrix:
        scales = np.ones((self.rows, 1), np.float32)
        return QuantizedMatrix(
            self.form, codes.to(torch.uint8).numpy(), scales, palettes=self._palettes.numpy()
        )


def _nearest(palette: Tensor, values: Tensor) -> Tensor:
    """Indices into ``palette`` [groups, entries], ascending, for ``values`` [groups, n]."""
    middles = (palette[:, 1:] + palette[:, :-1]) / 2
    return torch.searchsorted(middles.contiguous(), values.contiguous())


def make_grid(weight: Tensor, form: WeightFormat, *, affine: bool = False) -> Grid:
    """The grid of a format.

    Args:
        weight: float32 [rows, columns].
        form: fewer than 16 bits.
        affine: whether a row, or the matrix, of 8 bits has a zero point.
    """
    if form.granularity == "palette":
        return PaletteGrid(weight, form)
    if affine and form.bits == 8 and form.granularity in ("channel", "tensor"):
        return AffineGrid(weight, form)
    return UniformGrid(weight, form)
