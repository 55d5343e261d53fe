"""What each matrix would lose at each width: the choices that the solver has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.network import Network
from bertmobile_export.network.encoder import LINEARS_BY_INPUT, Layer
from bertmobile_export.plan import Plan
from bertmobile_export.quantization.grid import Levels, make_grid
from bertmobile_export.quantization.moments import Moments, moments_of
from bertmobile_export.quantization.rounding import round_compensated, round_to_nearest
from bertmobile_export.quantization.states import States, choose, embed, read_by_head, run_layer
from bertmobile_export.quantization.weights import levels_of, matrices, require_finite
from bertmobile_export.recipes import WeightFormat
from bertmobile_export.sizes import WORD_TABLE
from bertmobile_export.targets import Target
from bertmobile_export.threads import one_thread_each, side_by_side

Progress = Callable[[int, int], None]
# Texts for the moments of inputs, and for the runs with one matrix changed.
MOMENT_TOKENS = 4_096
RUN_TOKENS = 1_024
# So many rows of a matrix tell one width from another.
TABLE_ROWS = 1_024
LINEAR_ROWS = 128


@dataclass(frozen=True)
class Choice:
    """A format for a matrix.

    Attributes:
        form: the format.
        bytes: what it adds to the model file.
        loss: what it adds to the squared error of what the head reads, as a part of its square.
    """

    form: WeightFormat
    bytes: int
    loss: float


Choices = Mapping[str, Sequence[Choice]]


def measure(
    plan: Plan,
    target: Target,
    network: Network,
    samples: Sequence[Mapping[str, NDArray[np.int64]]],
    progress: Progress = lambda done, total: None,
) -> dict[str, list[Choice]]:
    """The choices for each matrix of a network.

    Each matrix is rounded alone to its finest format below 8 bits, and the network run on: that is how far
    what the head reads moves. At other widths it moves by as much more or less as the matrix's own outputs
    do, whose error follows from the moments of its inputs. Small errors of different matrices add up
    (HAWQ-V2, Dong et al., 2019, https://arxiv.org/abs/1911.03852, ranks layers by the same second-order
    argument).

    Args:
        plan: model and options.
        target: offers the formats.
        network: in float32.
        samples: its inputs, [1, length] int64 each.
        progress: called with the number of layers done and their total.

    Raises:
        CheckpointError: a matrix holds numbers that are not finite.
    """
    modules = dict(matrices(network))
    offered = {name: target.formats(plan, name, *module.weight.shape) for name, module in modules.items()}
    tried = {name: _finest_narrow(forms) for name, forms in offered.items()}
    with torch.inference_mode(False), torch.no_grad(), one_thread_each():
        moments = _moments(network, embed(network, samples, MOMENT_TOKENS))
        words = torch.cat([text["input_ids"][0] for text in choose(samples, RUN_TOKENS)])
        levels = {name: levels_of(network, each, target.levels(plan)) for name, each in modules.items()}
        errors = _own_errors(modules, offered, levels, moments, words)
        moved = _moved(network, samples, tried, levels, moments, progress)
    choices = {}
    for name, own in errors.items():
        each = moved[name] / own[tried[name]] if own[tried[name]] else 0.0
        choices[name] = [
            Choice(form, _bytes(plan, target, name, form), each * error) for form, error in own.items()
        ]
    return choices


def _finest_narrow(forms: Sequence[WeightFormat]) -> WeightFormat:
    """The finest format below 8 bits: large errors are cut off by normalisation, and would not add up."""
    narrow = [form for form in forms if form.bits < 8]
    return max(narrow, key=lambda form: (form.bits, -(form.block_size or 0)))


def _bytes(plan: Plan, target: Target, name: str, form: WeightFormat) -> int:
    modules = {**plan.recipe.modules, name: form}
    return target.predict_bytes(replace(plan, recipe=replace(plan.recipe, modules=modules)))


def _moments(network: Network, states: list[States]) -> dict[str, Moments]:
    """Of what each linear layer of the encoder reads."""
    found: dict[str, Moments] = {}
    for index, layer in enumerate(network.encoder.layers):
        assert isinstance(layer, Layer)
        states, inputs = run_layer(layer, states, [linears[0] for linears in LINEARS_BY_INPUT])
        for linears in LINEARS_BY_INPUT:
            read = moments_of((batch, batch) for batch in inputs[linears[0]])
            found |= {f"encoder.layers.{index}.{part}": read for part in linears}
    return found


def _own_errors(
    modules: Mapping[str, nn.Embedding | nn.Linear],
    offered: Mapping[str, Sequence[WeightFormat]],
    levels: Mapping[str, Levels],
    moments: Mapping[str, Moments],
    words: Tensor,
) -> dict[str, dict[WeightFormat, float]]:
    """The squared error of what a module returns for a row, at each of its formats; ``words`` are read."""

    def errors(name: str) -> dict[WeightFormat, float]:
        weight, seen = require_finite(name, modules[name].weight), moments.get(name)
        if name == WORD_TABLE:
            return {form: _error_of_rows(weight, form, levels[name], words) for form in offered[name]}
        return {form: _error(weight, form, levels[name], seen) for form in offered[name]}

    return dict(zip(offered, side_by_side(errors, offered), strict=True))


def _error(weight: Tensor, form: WeightFormat, levels: Levels, moments: Moments | None) -> float:
    # Rows are rounded independently of each other: a few of them show what all would lose.
    rows = _sample(weight, form, TABLE_ROWS if moments is None else LINEAR_ROWS)
    change = _rounded(rows, form, levels, moments) - rows
    seen = change if moments is None else change @ moments.squares
    return float((seen * change).sum()) / len(rows)


def _error_of_rows(weight: Tensor, form: WeightFormat, levels: Levels, words: Tensor) -> float:
    """As :func:`_error`, of the rows that texts read: frequent words have weights unlike those of others."""
    used, counts = torch.unique(words, return_counts=True)
    rows = torch.cat([weight[used], _sample(weight, form, TABLE_ROWS)])
    if form.granularity == "palette":  # they are for groups of equally many rows
        rows = rows[: len(rows) // (form.block_size or 1) * (form.block_size or 1)]
    change = (_rounded(rows, form, levels, None) - rows)[: len(used)]
    return float((change.square().sum(dim=1) * counts).sum() / counts.sum())


def _rounded(weight: Tensor, form: WeightFormat, levels: Levels, moments: Moments | None) -> Tensor:
    """What the codes of ``weight`` [rows, columns] would stand for."""
    grid = make_grid(weight, form, levels=levels)
    matrix = (
        round_to_nearest(weight, grid)
        if moments is None
        else round_compensated(weight, moments.squares, grid, sweeps=0)
    )
    return torch.from_numpy(matrix.values())


def _sample(weight: Tensor, form: WeightFormat, count: int) -> Tensor:
    """Some rows, whole groups of those that share a palette."""
    group = form.block_size if form.granularity == "palette" and form.block_size else 1
    groups = len(weight) // group
    step = max(len(weight) // count, 1)
    chosen = torch.arange(0, groups, min(step, groups))
    rows = (chosen.unsqueeze(1) * group + torch.arange(group)).reshape(-1)
    return weight[rows]


def _moved(
    network: Network,
    samples: Sequence[Mapping[str, NDArray[np.int64]]],
    tried: Mapping[str, WeightFormat],
    levels: Mapping[str, Levels],
    moments: Mapping[str, Moments],
    progress: Progress,
) -> dict[str, float]:
    """How far what the head reads moves with each matrix alone in the format tried, as a part of itself."""
    layers = [layer for layer in network.encoder.layers if isinstance(layer, Layer)]
    before = [embed(network, samples, RUN_TOKENS)]
    for layer in layers:
        before.append(run_layer(layer, before[-1])[0])
    exact = read_by_head(network, before[-1])

    moved = {}
    done = 0
    for name, module in matrices(network):
        weight = module.weight
        seen = moments.get(name)
        changed = _rounded(weight, tried[name], levels[name], seen)
        if name.startswith("head."):
            moved[name] = distance(changed, weight)
            continue
        module.weight = nn.Parameter(changed, requires_grad=False)
        bias = module.bias if isinstance(module, nn.Linear) else None
        if bias is not None and seen is not None:  # as quantize_weights does
            module.bias = nn.Parameter(bias + (weight - changed) @ seen.found, requires_grad=False)
        try:
            if name.startswith("encoder.embeddings."):
                states = embed(network, samples, RUN_TOKENS)
                rest = layers
            else:
                index = int(name.split(".")[2])
                states, rest = before[index], layers[index:]
            for layer in rest:
                states, _ = run_layer(layer, states)
            moved[name] = distance(read_by_head(network, states), exact)
        finally:
            module.weight = weight
            if isinstance(module, nn.Linear):
                module.bias = bias  # type: ignore[assignment]  # None where there was none
        if name == WORD_TABLE and network.takes_mask_positions:
            moved[name] += distance(changed, weight)  # as the decoder
        done += 1
        progress(done, len(tried))
    return moved


def read(network: Network, samples: Sequence[Mapping[str, NDArray[np.int64]]]) -> Tensor:
    """What the head makes its answer of, on some of the texts: a row for each text or token."""
    with torch.no_grad():
        states = embed(network, samples, RUN_TOKENS)
        for layer in network.encoder.layers:
            assert isinstance(layer, Layer)
            states, _ = run_layer(layer, states)
        return read_by_head(network, states)


def distance(found: Tensor, exact: Tensor) -> float:
    """The mean squared distance of rows, as a part of the mean square."""
    return float((found - exact).square().sum() / exact.square().sum())
