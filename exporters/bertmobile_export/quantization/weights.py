"""A network's weights to codes, layer by layer."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile.errors import CheckpointError
from bertmobile_export.memory import release_memory
from bertmobile_export.network import Network
from bertmobile_export.network.encoder import LINEARS_BY_INPUT, PARTS, Layer
from bertmobile_export.quantization.curvature import Curvature, curvature_of
from bertmobile_export.quantization.grid import Levels, make_grid
from bertmobile_export.quantization.kept import Kept, from_tensors, to_tensors
from bertmobile_export.quantization.matrix import QuantizedMatrix
from bertmobile_export.quantization.moments import moments_of
from bertmobile_export.quantization.rounding import damped, round_compensated, round_to_nearest
from bertmobile_export.quantization.states import TOKENS, States, advance, embed, inputs_of
from bertmobile_export.quantization.varied import COPIES, varied
from bertmobile_export.recipes import Recipe, WeightFormat
from bertmobile_export.threads import one_thread_each, side_by_side

# Of the moments when weights are to win back what is lost: it takes more to trust a sample with that.
DRIFT_DAMPING = 1.0
# Of the curvature along the sum of the embeddings, beside rounding's own. Less lost more on MiniLM at 4 bits.
TABLE_DAMPING = 0.3
Progress = Callable[[int, int], None]


def quantize_weights(
    network: Network,
    recipe: Recipe,
    samples: Sequence[Mapping[str, NDArray[np.int64]]] = (),
    *,
    levels: Levels = "symmetric",
    words: Sequence[int] = (),
    kept: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> None:
    """Choose the codes of all matrices that a recipe stores as codes, in place.

    The network's weights become what the codes stand for, so that it computes what a file with these codes
    computes, and ``network.codes`` holds them.

    Where the recipe's rounding is ``compensated``, the linear layers of the encoder are rounded in the order
    in which they run (GPTQ; see :func:`~.rounding.round_compensated`). Their inputs are those of the network
    quantized so far, and what these have already lost is won back as far as a change of the weights can:
    the rounding starts from the weights that return, for the inputs as they are now, most nearly what the
    float32 layer returned for the exact ones (as in GPTAQ, Li et al., 2025,
    https://arxiv.org/abs/2504.02692). Biases, which no recipe quantizes, take over what moves the mean
    (empirical bias correction, Nagel et al., 2019, https://arxiv.org/abs/1906.04721), so that the weights
    only answer for what varies. With the recipe's effort ``high``, more texts are read, an error counts as
    much as the head hears of it (see :mod:`~.curvature`), and so does one in the table of words, unless a
    decoder shares the table.

    Args:
        network: in float32; matrices that change get tensors of their own.
        recipe: which formats, and how to round.
        samples: the network's inputs, [1, length] int64 each; read where rounding is compensated.
        levels: of rows of 8 bits in products, or in all matrices where they have a zero point.
        words: ids of the vocabulary's words; read where the effort is high.
        kept: a folder for what is finished, where the effort is high; one that was stopped goes on there.
        progress: called with the number of layers done and their total.

    Raises:
        CheckpointError: a matrix holds numbers that are not finite.
    """
    with torch.inference_mode(False), torch.no_grad(), one_thread_each():
        for name, module in matrices(network):
            if recipe.form(name).quantized:
                require_finite(name, module.weight)
        compensated = recipe.rounding == "compensated"
        high = compensated and recipe.effort == "high"
        store = Kept.within(kept if high else None, network, samples, words)
        finished = store.under(recipe, levels)
        tokens = TOKENS
        if high:
            samples = [*samples, *varied(samples, words)]
            tokens *= 1 + COPIES
        layers = list(network.encoder.layers) if compensated else []
        if layers:
            progress(0, len(layers))
        exact = embed(network, samples, tokens) if compensated else []
        narrow = [name for name, _ in matrices(network) if recipe.form(name).bits < 8]
        curvature = _curvature(network, exact, narrow, store) if high else None
        single = [
            (name, module, recipe.form(name))
            for name, module in matrices(network)
            if recipe.form(name).quantized and not (compensated and _layer_of(name) is not None)
        ]
        rounded = side_by_side(lambda each: _alone(network, *each, curvature, levels), single)
        for (name, module, _), matrix in zip(single, rounded, strict=True):
            _take(network, name, module, matrix)
        states = embed(network, samples, tokens) if compensated else []
        for index, layer in enumerate(layers):
            assert isinstance(layer, Layer)
            name = f"encoder.layers.{index}"
            original = copy.deepcopy(layer)
            if not _restore(network, name, layer, recipe, finished):
                _quantize_layer(network, name, layer, original, exact, states, curvature, recipe, levels)
                _keep(network, name, layer, finished)
            if index + 1 < len(layers):  # nothing here reads what the last one returns
                advance(original, exact)
                advance(layer, states)
            release_memory()  # pieces of many sizes are left over from each layer
            progress(index + 1, len(layers))


def _curvature(network: Network, exact: Sequence[States], names: Sequence[str], store: Kept) -> Curvature:
    store = store.under(names)
    found = store.load("curvature")
    if found is None:
        curvature = curvature_of(network, exact, names)
        store.save("curvature", curvature.to_tensors())
        return curvature
    return Curvature.from_tensors(found)


def _keep(network: Network, name: str, layer: Layer, store: Kept) -> None:
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        if (matrix := network.codes.get(f"{name}.{part}")) is not None:
            tensors |= {f"{part}.{key}": tensor for key, tensor in to_tensors(matrix).items()}
            tensors[f"{part}.bias"] = getattr(layer, part).bias
    store.save(name, tensors)


def _restore(network: Network, name: str, layer: Layer, recipe: Recipe, store: Kept) -> bool:
    """Whether the layer's codes and biases had been kept, and are now the network's."""
    tensors = store.load(name)
    if tensors is None:
        return False
    for part in PARTS:
        own = {key.partition(".")[2]: each for key, each in tensors.items() if key.startswith(f"{part}.")}
        if own:
            getattr(layer, part).bias = nn.Parameter(own.pop("bias"), requires_grad=False)
            matrix = from_tensors(recipe.form(f"{name}.{part}"), own)
            _take(network, f"{name}.{part}", getattr(layer, part), matrix)
    return True


def _layer_of(name: str) -> int | None:
    """The encoder's layer that a module is part of."""
    found = re.match(r"encoder\.layers\.(\d+)\.", name)
    return int(found[1]) if found else None


def matrices(network: Network) -> Iterator[tuple[str, nn.Embedding | nn.Linear]]:
    """Every module with a matrix of weights, by name; one that shares the word table is left out."""
    word = network.encoder.embeddings.word
    for name, module in network.named_modules():
        if isinstance(module, nn.Embedding) or (
            isinstance(module, nn.Linear) and module.weight is not word.weight
        ):
            yield name, module


def _alone(
    network: Network,
    name: str,
    module: nn.Embedding | nn.Linear,
    form: WeightFormat,
    curvature: Curvature | None,
    levels: Levels,
) -> QuantizedMatrix:
    """A matrix outside the layers, rounded by itself."""
    weight = module.weight
    grid = make_grid(weight, form, levels=levels_of(network, module, levels))
    untied = module is network.encoder.embeddings.word and not _tied(network, module)
    if curvature is not None and untied and form.bits < 8:
        return round_compensated(weight, damped(curvature.table, TABLE_DAMPING), grid)
    return round_to_nearest(weight, grid)


def _tied(network: Network, module: nn.Embedding | nn.Linear) -> list[nn.Linear]:
    """The linear layers that share a module's weights."""
    return [
        each for each in network.modules() if isinstance(each, nn.Linear) and each.weight is module.weight
    ]


def levels_of(network: Network, module: nn.Embedding | nn.Linear, levels: Levels) -> Levels:
    """Of a matrix outside the layers: a table that is only looked up adds nothing up."""
    if levels == "paired" and isinstance(module, nn.Embedding) and not _tied(network, module):
        return "symmetric"
    return levels


def _take(network: Network, name: str, module: nn.Embedding | nn.Linear, matrix: QuantizedMatrix) -> None:
    tied = _tied(network, module)
    network.codes[name] = matrix
    weight = nn.Parameter(torch.from_numpy(matrix.values()), requires_grad=False)
    for each in (module, *tied):
        each.weight = weight


def require_finite(name: str, weight: Tensor) -> Tensor:
    """``weight``, whose numbers are finite.

    Raises:
        CheckpointError: one is not.
    """
    if not torch.isfinite(weight).all():
        raise CheckpointError(
            f"the weights of {name} hold NaN or infinity and cannot be quantized; "
            "repair the checkpoint, or export it with the recipe float32"
        )
    return weight.detach()


def _quantize_layer(
    network: Network,
    name: str,
    layer: Layer,
    original: Layer,
    exact: Sequence[States],
    states: Sequence[States],
    curvature: Curvature | None,
    recipe: Recipe,
    levels: Levels,
) -> None:
    """Round the linear layers, those with a common input together, in the order in which they run.

    ``original`` is the layer in the float32 network, and ``exact`` what it reads there.
    """
    for linears in LINEARS_BY_INPUT:
        forms = {part: recipe.form(f"{name}.{part}") for part in linears}
        if not any(form.quantized for form in forms.values()):
            continue
        first = linears[0]
        pairs = zip(inputs_of(original, first, exact), inputs_of(layer, first, states), strict=True)
        moments = moments_of(pairs, curvature.tokens[f"{name}.{first}"] if curvature else None)
        # What a change of the weights can win back: the least squares solution of inputs @ change = drift.
        seen = damped(moments.squares.double(), DRIFT_DAMPING)
        solved = torch.linalg.solve(seen, moments.drift.double()).float()
        # One after the other: the loop over columns is Python's, and threads would take it from each other.
        for part in [part for part, form in forms.items() if form.quantized]:
            linear = getattr(layer, part)
            weight = linear.weight
            grid = make_grid(weight, forms[part], levels=levels)
            # Of the little that 8 bits lose, it does not matter where it is lost.
            outputs = curvature.outputs[f"{name}.{part}"] if curvature and forms[part].bits < 8 else None
            matrix = round_compensated(weight + (solved @ weight.T).T, moments.squares, grid, outputs=outputs)
            _take(network, f"{name}.{part}", linear, matrix)
            bias = linear.bias + weight @ moments.wanted - linear.weight @ moments.found
            linear.bias = nn.Parameter(bias, requires_grad=False)
