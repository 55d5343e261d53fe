"""Exact rewritings of the network that make its activations easier to quantize."""

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.network.encoder import Layer
from bertmobile_export.network.network import Network
from bertmobile_export.recipes import WeightFormat
from bertmobile_export.threads import one_thread_each

# What shares one range of 8 bits: a row, a whole input of one run, or all inputs that were calibrated with.
ActivationRange = Literal["row", "tensor", "static"]

# How a channel is measured, and how much of an input's unevenness moves into the weights: at exponent 1 the
# activations are even and the weights bear it all. "largest" is SmoothQuant's own measure and fits a range
# that one outlier decides; the root of the mean square leaves the weights more even and fits a range for each
# row.
_CANDIDATES: Mapping[ActivationRange, tuple[tuple[Literal["largest", "rms"], float], ...]] = {
    "row": (("rms", 0.4), ("rms", 0.5), ("rms", 0.6), ("largest", 0.6)),
    "tensor": (("rms", 0.6), ("largest", 0.7), ("largest", 0.8), ("largest", 0.9)),
    "static": (
        *(("rms", exponent) for exponent in (0.6, 0.8, 1.0)),
        *(("largest", exponent) for exponent in (0.6, 0.7, 0.8, 0.9, 1.0)),
    ),
}
# Where the weights have fewer than 8 bits, in blocks of columns: an uneven block costs them more than an
# uneven row costs 8-bit activations (AWQ, Lin et al., 2023, https://arxiv.org/abs/2306.00978, scales columns
# for the weights' sake alone). Measured on MiniLM; higher exponents lose.
_CANDIDATES_NARROW = (("rms", 0.1), ("rms", 0.2), ("rms", 0.3))
# A site is left alone unless this part of its error goes: a multiplication costs time on the device.
LEAST_GAIN = 0.05
# What the search looks at: few tokens, because running them takes most of the time, and a sample of the rows.
# A range that is fixed for good is the exception: one text that was left out may hold what stretches it.
# Output channels are not alike, and a sample that misses the few large ones of the residual stream chooses
# worse scales: so many hold the whole hidden size of most models, and a part of the intermediate size.
TOKENS = 1024
SEARCHED_ROWS = 192
SEARCHED_OUTPUTS = 1024


@dataclass(frozen=True)
class _Site:
    """Linears of a layer with one input, and where the scale of that input is undone.

    ``linears[0]`` is the one whose error counts.
    """

    linears: tuple[str, ...]
    buffer: str | None = None  # of the layer: the input is divided as the model runs
    producer: str | None = None  # the linear before, whose rows are divided instead
    output_buffer: str | None = None  # of the layer: scale of the output, for static activations


_SITES = (
    # An error of the values reaches the output whole; one of queries and keys has to pass the softmax.
    _Site(("value", "key", "query"), buffer="attention_input_scale"),
    # Attention averages each channel of the values by itself, so their scale comes out as it went in.
    _Site(("attention_output",), producer="value", output_buffer="attention_output_scale"),
    _Site(("intermediate",), buffer="intermediate_input_scale"),
    _Site(("output",), buffer="output_input_scale", output_buffer="output_scale"),
)


# Queries and keys keep few bits longest, and what evens the values' weights unsettles theirs. What attention
# puts out is as even as its scale would make it.
_SITES_NARROW = (_Site(("query", "key", "value"), buffer="attention_input_scale"), *_SITES[2:])


class _Seen:
    """What a linear read and gave, over all runs of the network; a sample of the rows is kept."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []
        self._lowest: list[Tensor] = []
        self._highest: list[Tensor] = []
        self._squares: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._count = 0

    def add(self, inputs: Tensor, outputs: Tensor, sample: Tensor) -> None:
        self._rows.append(inputs[sample])
        self._lowest.append(inputs.amin(dim=0))
        self._highest.append(inputs.amax(dim=0))
        self._squares.append(inputs.square().sum(dim=0))
        self._outputs.append(outputs.abs().amax(dim=0))
        self._count += len(inputs)

    def extend(self, other: "_Seen") -> None:
        """Take over what another one saw."""
        self._rows += other._rows
        self._lowest += other._lowest
        self._highest += other._highest
        self._squares += other._squares
        self._outputs += other._outputs
        self._count += other._count

    @property
    def rows(self) -> Tensor:
        """[n, inputs], the sample."""
        return torch.cat(self._rows)

    @property
    def run(self) -> Tensor:
        """[n] int64: the run that each row of the sample is from."""
        return torch.repeat_interleave(torch.tensor([len(rows) for rows in self._rows]))

    @property
    def lowest(self) -> Tensor:
        """[runs, inputs]."""
        return torch.stack(self._lowest)

    @property
    def highest(self) -> Tensor:
        """[runs, inputs]."""
        return torch.stack(self._highest)

    @property
    def rms(self) -> Tensor:
        """[inputs], the root of the mean square."""
        return (torch.stack(self._squares).sum(dim=0) / self._count).sqrt()

    @property
    def output(self) -> Tensor:
        """[outputs], the largest absolute values."""
        return torch.stack(self._outputs).amax(dim=0)


@dataclass(frozen=True)
class QuantizedActivations:
    """How a target quantizes what the encoder's linear layers read, to 8 bits.

    Attributes:
        range: what shares a range.
        outputs: whether what they return is quantized too.
        even_rows: the linear layers of :class:`~.encoder.Layer` whose input rows the target itself makes
            equally large.
        narrow: the format of the weights that multiply them, where it has fewer than 8 bits.
    """

    range: ActivationRange
    outputs: bool = False
    even_rows: tuple[str, ...] = ()
    narrow: WeightFormat | None = None


def equalise(
    network: Network,
    samples: Iterable[Mapping[str, NDArray[np.int64]]],
    activations: QuantizedActivations,
) -> None:
    """Even out the channels of activations that are to be quantized to 8 bits, in place.

    A few channels of BERT's residual stream are fed values fifty times as large as all others, which leaves
    few steps of a shared range for the rest. An input is divided by a scale for each channel, and the
    weights' columns are multiplied by it (SmoothQuant, Xiao et al., 2022,
    https://arxiv.org/abs/2211.10438). How far to go is searched for each linear: its output is computed with
    quantized weights and inputs, and the scale with the smallest squared error wins. Where outputs are
    quantized too, the rows of a projection are divided by the channel's largest value, which is multiplied
    back in floating point where the residual is added. The network computes the same.

    Args:
        network: the linears concerned get weights of their own, and the layers their scales (see
            :class:`~.encoder.Layer`).
        samples: the network's inputs, [1, length] int64 each. A small part of them is run.
        activations: how they are quantized when the model runs.

    Raises:
        ValueError: no sample.
    """
    texts = [without_padding(sample) for sample in samples]
    sites = _SITES_NARROW if activations.narrow else _SITES
    seen = _observe(network, texts if activations.range == "static" else _choose(texts), sites)
    with torch.inference_mode(False), torch.no_grad():
        for layer in network.encoder.layers:
            assert isinstance(layer, Layer)
            scales = {
                site: _search(layer, site, seen, activations)
                for site in sites
                if site.linears[0] not in activations.even_rows
            }
            for site, scale in scales.items():
                if scale is not None:
                    _scale_input(layer, site, scale)
            if activations.outputs:
                for site in sites:
                    _scale_output(layer, site, seen)


def _choose(texts: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Of many texts, some of the shorter ones: more texts for the same work."""
    if sum(map(_tokens, texts)) <= TOKENS:
        return texts
    ordered = sorted(texts, key=_tokens)[: -(-len(texts) // 2)]
    return ordered[:: -(-sum(map(_tokens, ordered)) // TOKENS)]


def _tokens(text: Mapping[str, Tensor]) -> int:
    return text["input_ids"].numel()


def without_padding(sample: Mapping[str, NDArray[np.int64]]) -> dict[str, Tensor]:
    """The network's inputs with the text's own length, [1, tokens] int64 (``mask_positions`` as it is)."""
    tokens = int(sample["attention_mask"].sum())
    return {
        name: torch.from_numpy(values if name == "mask_positions" else values[:, :tokens])
        for name, values in sample.items()
    }


def _observe(
    network: Network, texts: list[dict[str, Tensor]], sites: Sequence[_Site]
) -> dict[nn.Module, _Seen]:
    """Run the encoder, and note what the sites' first linears read and gave.

    Raises:
        ValueError: no texts.
    """
    if not texts:
        raise ValueError("equalisation needs at least one sample")
    linears = [getattr(layer, site.linears[0]) for layer in network.encoder.layers for site in sites]
    kept = -(-SEARCHED_ROWS // len(texts))
    running = threading.local()

    def observe(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        inputs = arguments[0]
        # By chance, but the same each time: first and last tokens are special ones.
        sample = torch.randperm(len(inputs), generator=running.random)[:kept]
        running.seen[module] = (inputs, output, sample)

    def run(numbered: tuple[int, dict[str, Tensor]]) -> dict[nn.Module, _Seen]:
        index, text = numbered
        running.random = torch.Generator().manual_seed(index)
        running.seen = {}
        with torch.no_grad():
            network.hidden_states(**text)
        summaries = {}
        for module, observed in running.seen.items():
            summaries[module] = _Seen()
            summaries[module].add(*observed)
        return summaries

    seen = {linear: _Seen() for linear in linears}
    hooks = [linear.register_forward_hook(observe) for linear in linears]
    try:
        # A core for each text: the texts are too short for two threads to help each other.
        with one_thread_each(), ThreadPoolExecutor(os.cpu_count()) as pool:
            for summaries in pool.map(run, enumerate(texts)):
                for module, summary in summaries.items():
                    seen[module].extend(summary)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _search(
    layer: Layer, site: _Site, seen: Mapping[nn.Module, _Seen], activations: QuantizedActivations
) -> Tensor | None:
    """The scale of a site's input, [inputs], or None where none is worth its cost."""
    linear = getattr(layer, site.linears[0])
    inputs = seen[linear]
    weight: Tensor = linear.weight.detach()
    sample = weight[:: -(-len(weight) // SEARCHED_OUTPUTS)]
    rows, run, lowest, highest = inputs.rows, inputs.run, inputs.lowest, inputs.highest
    exact = rows @ sample.T
    sizes = {
        "largest": (torch.maximum(highest, -lowest).amax(dim=0), weight.abs().amax(dim=0)),
        "rms": (inputs.rms, weight.square().mean(dim=0).sqrt()),
    }

    def quantized(scale: Tensor) -> Tensor:
        scaled = rows / scale
        if activations.range == "row":
            return to_levels(scaled, scaled.amin(dim=1), scaled.amax(dim=1))
        low, high = (lowest / scale).amin(dim=1), (highest / scale).amax(dim=1)
        if activations.range == "tensor":
            return to_levels(scaled, low[run], high[run])
        return to_levels(scaled, low.min(), high.max())

    def rounded(weight: Tensor) -> Tensor:
        return _narrow_weight(weight, activations.narrow) if activations.narrow else _quantized_weight(weight)

    def error(scale: Tensor) -> float:
        found = quantized(scale) @ rounded(sample * scale).T
        return float((found - exact).square().sum())

    best, least = None, (1 - LEAST_GAIN) * error(torch.ones_like(weight[0]))
    candidates = _CANDIDATES_NARROW if activations.narrow else _CANDIDATES[activations.range]
    for measure, exponent in candidates:
        read, held = sizes[measure]
        scale = _positive(read) ** exponent / _positive(held) ** (1 - exponent)
        if (found := error(scale)) < least:
            best, least = scale, found
    return best


def to_levels(rows: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Rows [n, inputs] rounded to 8 bits between ``low`` and ``high`` ([n] or []), widened to hold zero.

    So do XNNPACK with the rows of a dynamic tensor and ONNX's DynamicQuantizeLinear with a whole one.
    """
    low, high = low.clamp(max=0).unsqueeze(-1), high.clamp(min=0).unsqueeze(-1)
    step = _nonzero((high - low) / 255)
    zero = torch.round(-low / step)
    return (torch.clamp(torch.round(rows / step) + zero, 0, 255) - zero) * step


def _quantized_weight(weight: Tensor) -> Tensor:
    """Rounded to signed 8 bits, symmetrically for each output channel."""
    step = _nonzero(weight.abs().amax(dim=1, keepdim=True) / 127)
    return (weight / step).round_().mul_(step)


def _narrow_weight(weight: Tensor, form: WeightFormat) -> Tensor:
    """Rounded to a few signed levels, symmetrically for each block of a row."""
    rows, columns = weight.shape
    width = form.block_size or columns
    blocks = nn.functional.pad(weight, (0, -columns % width)).reshape(rows, -1, width)
    most = 2.0 ** (form.bits - 1)
    step = _nonzero(blocks.abs().amax(dim=2, keepdim=True) / (most - 0.5))
    return (blocks / step).round_().clamp_(-most, most - 1).mul_(step).reshape(rows, -1)[:, :columns]


def _nonzero(step: Tensor) -> Tensor:
    return torch.where(step > 0, step, 1.0)


def _positive(sizes: Tensor) -> Tensor:
    """A channel that never moves counts as one of the usual size."""
    moving = sizes[sizes > 0]
    usual = moving.median() if len(moving) else torch.ones(())
    return torch.where(sizes > 0, sizes, usual)


def _scale_input(layer: Layer, site: _Site, scale: Tensor) -> None:
    for name in site.linears:
        linear = getattr(layer, name)
        _replace(linear, linear.weight * scale, linear.bias)
    if site.producer:
        _scale_rows(getattr(layer, site.producer), scale)
    if site.buffer:
        setattr(layer, site.buffer, scale)


def _scale_output(layer: Layer, site: _Site, seen: Mapping[nn.Module, _Seen]) -> None:
    if site.output_buffer:
        linear = getattr(layer, site.linears[0])
        scale = _positive(seen[linear].output)
        _scale_rows(linear, scale)
        setattr(layer, site.output_buffer, scale)


def _scale_rows(linear: nn.Linear, scale: Tensor) -> None:
    """Divide a linear's output by ``scale``."""
    _replace(linear, linear.weight / scale.unsqueeze(1), linear.bias / scale)


def _replace(linear: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    linear.weight = nn.Parameter(weight, requires_grad=False)
    linear.bias = nn.Parameter(bias, requires_grad=False)
