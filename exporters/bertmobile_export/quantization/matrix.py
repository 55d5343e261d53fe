"""Codes and what they stand for, the same for every target."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bertmobile_export.recipes import WeightFormat


@dataclass(frozen=True)
class QuantizedMatrix:
    """A matrix of codes: ``scales * multipliers * (codes - zeros)``, or ``scales`` times palette entries.

    Attributes:
        form: bits and what shares a scale.
        codes: int8 [rows, columns], signed; with palettes uint8 [rows, columns], indices.
        scales: float32 [rows, blocks], the last block maybe shorter than the others; one block where a row or
            the matrix shares a scale. Those of blocks are exact in bfloat16 and in float16, those of palettes
            in float16 (1 where a palette has none).
        zeros: int8 [rows], or None where codes lie around zero.
        multipliers: uint8 [rows, blocks], 1 to 15, of scaled blocks, or None; products with codes are 8-bit.
        palettes: float32 [groups, 2**bits], ascending, exact in float16, for groups of equally many rows.
    """

    form: WeightFormat
    codes: NDArray[np.int8 | np.uint8]
    scales: NDArray[np.float32]
    zeros: NDArray[np.int8] | None = None
    palettes: NDArray[np.float32] | None = None
    multipliers: NDArray[np.uint8] | None = None

    def row_codes(self) -> NDArray[np.int8]:
        """Codes times multipliers: int8 [rows, columns], in units of the row's scale."""
        assert self.multipliers is not None
        assert self.form.block_size is not None
        columns = self.codes.shape[1]
        spread = np.repeat(self.multipliers.astype(np.int8), self.form.block_size, axis=1)
        products: NDArray[np.int8] = self.codes.astype(np.int8) * spread[:, :columns]
        return products

    def values(self) -> NDArray[np.float32]:
        """What the codes stand for, float32 [rows, columns]."""
        if self.palettes is not None:
            groups, entries = self.palettes.shape
            first = np.repeat(np.arange(groups) * entries, len(self.codes) // groups)
            looked_up: NDArray[np.float32] = self.palettes.reshape(-1)[self.codes + first[:, np.newaxis]]
            looked_up *= self.scales
            return looked_up
        if self.multipliers is not None:
            return self.row_codes() * self.scales
        values = self.codes.astype(np.float32)
        if self.zeros is not None:
            values -= self.zeros[:, np.newaxis]
        columns = self.codes.shape[1]
        width = self.form.block_size or columns
        values *= np.repeat(self.scales, width, axis=1)[:, :columns]
        return values

    def first_rows(self, count: int) -> "QuantizedMatrix":
        """The first ``count`` rows.

        Raises:
            ValueError: the rows share palettes with others.
        """
        if self.palettes is not None and len(self.palettes) > 1 and count < len(self.codes):
            raise ValueError("rows that share a palette cannot be cut off")
        return replace(
            self,
            codes=self.codes[:count],
            scales=self.scales[:count],
            zeros=None if self.zeros is None else self.zeros[:count],
            multipliers=None if self.multipliers is None else self.multipliers[:count],
        )
