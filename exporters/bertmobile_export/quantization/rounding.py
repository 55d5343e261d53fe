"""Weights to codes: each to its nearest, or all together so that their errors cancel out."""

import torch
from torch import Tensor

from bertmobile_export.quantization.grid import Grid
from bertmobile_export.quantization.matrix import QuantizedMatrix

# Added to the diagonal, as a part of its mean: inputs that a sample shows moving together only by chance
# would be trusted to cancel each other's errors.
DAMPING = 0.1
# Columns whose errors are spread at once.
_BATCH = 128
# Of coordinate descent; later ones win less than 1 % of the error.
SWEEPS = 3
# As DAMPING, for outputs, which a sample shows less well. From a third on MiniLM's mean loss is the same.
OUTPUTS_DAMPING = 1.0


def round_to_nearest(weight: Tensor, grid: Grid) -> QuantizedMatrix:
    """Round each weight by itself, with the scales of the least squared error.

    Args:
        weight: float32 [rows, columns].
        grid: its levels, not fitted yet.
    """
    codes = torch.empty_like(weight)
    for first in range(0, weight.shape[1], grid.width):
        block = weight[:, first : first + grid.width]
        grid.fit(first, block, torch.ones(block.shape[1]))
        codes[:, first : first + grid.width] = grid.codes(first, block)
    return grid.matrix(codes)


def round_compensated(
    weight: Tensor, moments: Tensor, grid: Grid, *, outputs: Tensor | None = None, sweeps: int = SWEEPS
) -> QuantizedMatrix:
    """Round column by column; the columns that are left make up for the error so far.

    GPTQ (Frantar et al., 2022, https://arxiv.org/abs/2210.17323), after Optimal Brain Surgeon (Hassibi and
    Stork, 1992): what a linear layer returns for inputs like those seen changes as little as can be. Then
    each weight is rounded again, given all others, and each scale fitted again to its codes, a few times over
    (coordinate descent, as in QuantEase, Behdin et al., 2023, https://arxiv.org/abs/2309.01885).

    With ``outputs``, errors of different rows make up for each other, too: what is lost is then measured
    behind all layers that follow (adaptive rounding as in YAQA, Tseng et al., 2025,
    https://arxiv.org/abs/2505.22988, here by coordinate descent).

    Args:
        weight: float32 [rows, columns].
        moments: float32 [columns, columns], the sum of the inputs' outer products.
        grid: its levels, not fitted yet.
        outputs: float32 [rows, rows], how much a product of two outputs' errors counts; each by itself, and
            all alike, when None.
        sweeps: of coordinate descent.
    """
    exact, weight, columns = weight, weight.clone(), weight.shape[1]
    moments = damped(moments.double())
    inverse = _inverse_factor(moments)
    importance = inverse.diagonal() ** -2
    codes = torch.empty_like(weight)
    whole = grid.width >= columns
    if whole:
        grid.fit(0, weight, importance)
    # A block is fitted to weights that already make up for all columns before it.
    batch = _BATCH if whole else max(_BATCH // grid.width, 1) * grid.width
    for start in range(0, columns, batch):
        stop = min(start + batch, columns)
        errors = torch.empty(len(weight), stop - start)
        for column in range(start, stop):
            if column % grid.width == 0 and not whole:
                end = min(column + grid.width, columns)
                grid.fit(column, weight[:, column:end], importance[column:end])
            values = weight[:, column : column + 1]
            found = grid.codes(column, values)
            codes[:, column : column + 1] = found
            error = (values - grid.values(column, found)) / inverse[column, column]
            weight[:, column + 1 : stop] -= error * inverse[column, column + 1 : stop]
            errors[:, column - start : column - start + 1] = error
        weight[:, stop:] -= errors @ inverse[start:stop, stop:]
    for _ in range(sweeps):
        _round_again(exact, moments.float(), grid, codes)
    if outputs is not None:
        _round_across(exact, moments.float(), outputs, grid, codes, sweeps)
    return grid.matrix(codes)


def _round_across(
    weight: Tensor, moments: Tensor, outputs: Tensor, grid: Grid, codes: Tensor, sweeps: int
) -> None:
    """Coordinate descent in ``codes`` on the error of all rows together, with the scales as they are.

    A step looks at one weight of each row. Rows may move together, so that all of their moves at once would
    go too far: those that gain most alone are taken, as many as gain most together.
    """
    if not outputs.any():  # nothing is heard of them
        return
    outputs = damped(outputs / outputs.diagonal().mean(), OUTPUTS_DAMPING)
    rows, columns = weight.shape
    values = _values(grid, codes)
    slope = outputs @ (values - weight) @ moments
    place = torch.arange(rows)
    for offset in [*range(columns)] * sweeps:
        column = (place + offset) % columns
        now, lower = values[place, column], slope[place, column]
        curvature = outputs.diagonal() * moments.diagonal()[column]
        found = grid.codes(column, (now - lower / curvature).unsqueeze(1))
        move = grid.values(column, found)[:, 0] - now
        cost = lower * move + curvature * move.square() / 2
        row = cost.argsort(stable=True)[: int((cost < 0).sum())]
        if not len(row):
            continue
        at, step = column[row], move[row]
        # What the first few of them cost together: each by itself, and what it changes for those before it.
        mutual = outputs[row][:, row] * moments[at][:, at] * torch.outer(step, step)
        together = (cost[row] + mutual.tril(-1).sum(dim=1)).cumsum(0)
        taken = slice(int(together.argmin()) + 1)
        row, at, step = row[taken], at[taken], step[taken]
        codes[row, at] = found[row, 0].to(codes.dtype)
        values[row, at] += step
        slope.addmm_(outputs[:, row] * step, moments[at])


def _values(grid: Grid, codes: Tensor) -> Tensor:
    columns = codes.shape[1]
    width = min(grid.width, columns)
    return torch.cat([grid.values(i, codes[:, i : i + width]) for i in range(0, columns, width)], dim=1)


def _round_again(weight: Tensor, moments: Tensor, grid: Grid, codes: Tensor) -> None:
    """One round of coordinate descent on the outputs' squared error, in ``codes`` and the grid's scales."""
    columns = weight.shape[1]
    width = min(grid.width, columns)
    values = _values(grid, codes)
    slope = (values - weight) @ moments
    for first in range(0, columns, width):
        block = slice(first, min(first + width, columns))
        changed = grid.refit(first, codes[:, block], slope[:, block], moments[block, block])
        slope += (changed - values[:, block]) @ moments[block]
        values[:, block] = changed
    own = moments.diagonal()
    step = min(width, _BATCH)
    for start in range(0, columns, step):
        block = slice(start, min(start + step, columns))
        inner, change = slope[:, block].clone(), torch.zeros_like(slope[:, block])
        for place, column in enumerate(range(start, block.stop)):
            now = values[:, column : column + 1]
            found = grid.codes(column, now - inner[:, place : place + 1] / own[column])
            moved = grid.values(column, found) - now
            codes[:, column : column + 1] = found
            change[:, place : place + 1] = moved
            inner += moved * moments[column, block]
        values[:, block] += change
        slope += change @ moments[block]


def damped(moments: Tensor, damping: float = DAMPING) -> Tensor:
    """``moments`` with a part of their mean on the diagonal for what a sample does not show."""
    diagonal = moments.diagonal()
    # An input that never moves says nothing: it counts as one of the usual size.
    mean = diagonal.mean().clamp(min=torch.finfo(moments.dtype).tiny)
    return moments + torch.diag(torch.full_like(diagonal, float(mean) * damping))


def _inverse_factor(moments: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True).float()
    return factor
