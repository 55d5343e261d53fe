"""How the head's answer bends with what each linear layer returns: what an error there costs."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bertmobile_export.network import Network
from bertmobile_export.network.encoder import LINEARS_BY_INPUT, PARTS, Layer
from bertmobile_export.quantization.states import States, read_by_head
from bertmobile_export.threads import side_by_side

# Whose gradients are computed at a time.
PIECE_TOKENS = 256
# Sums that are made side by side: each holds a square for every linear layer.
SHARDS = 2
# Importance of a token that the head does not hear of.
LEAST = 0.1


@dataclass(frozen=True)
class Curvature:
    """Of what the head reads, along what the encoder's layers return.

    A token's part is the outer product of its gradient g with itself, |g| times that of g with g / |g|: the
    one factor goes to ``tokens``, the other to ``outputs``, so that few tokens do not decide it all.

    Attributes:
        tokens: how much each token counts, by the name of a group's first linear layer: [tokens] float32 for
            each batch, with mean 1 over all.
        outputs: by the name of a linear layer [outputs, outputs] float32, the sum over all tokens.
        table: the same for the sum of the embeddings, [hidden, hidden] float32.
    """

    tokens: Mapping[str, Sequence[Tensor]]
    outputs: Mapping[str, Tensor]
    table: Tensor

    def to_tensors(self) -> dict[str, Tensor]:
        """All of it, by names of its own."""
        tokens = {
            f"tokens.{name}.{index}": each
            for name, batches in self.tokens.items()
            for index, each in enumerate(batches)
        }
        return {"table": self.table, **{f"outputs.{n}": each for n, each in self.outputs.items()}, **tokens}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Curvature":
        """What :meth:`to_tensors` gave."""
        tokens: dict[str, dict[int, Tensor]] = defaultdict(dict)
        outputs = {}
        for key, tensor in tensors.items():
            kind, _, name = key.partition(".")
            if kind == "outputs":
                outputs[name] = tensor
            elif kind == "tokens":
                name, _, index = name.rpartition(".")
                tokens[name][int(index)] = tensor
        ordered = {name: [each[index] for index in sorted(each)] for name, each in tokens.items()}
        return cls(ordered, outputs, tensors["table"])


def curvature_of(network: Network, batches: Sequence[States], names: Collection[str]) -> Curvature:
    """By the squared gradients of random mixtures of what the head reads.

    Gauss-Newton, sampled (Hutchinson, 1989, https://doi.org/10.1080/03610918908812806). The curvature along a
    matrix of weights is taken for the product of one along its inputs and one along its outputs (K-FAC,
    Martens and Grosse, 2015, https://arxiv.org/abs/1503.05671), as YAQA rounds with (Tseng et al., 2025,
    https://arxiv.org/abs/2505.22988). Tokens count as the root of their squares, since one sample is noisy
    (GuidedQuant, Kim et al., 2025, https://arxiv.org/abs/2505.07004); each text counts alike.

    Args:
        network: in float32.
        batches: what its first layer reads.
        names: the linear layers whose outputs are wanted.
    """
    layers = [layer for layer in network.encoder.layers if isinstance(layer, Layer)]
    running = threading.local()

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            running.outputs[name] = output

        return hook

    def gradients(states: States, generator: torch.Generator) -> dict[str, Tensor]:
        """[tokens, outputs] of each linear layer, and of what the first layer reads by the name ``""``."""
        running.outputs = {}
        rows = running.outputs[""] = states.rows.detach().requires_grad_()
        with torch.enable_grad():
            for layer in layers:
                rows = layer(rows, states.mask)
            read = read_by_head(network, [replace(states, rows=rows)])
        noise = torch.randn(read.shape, generator=generator)
        outputs: dict[str, Tensor] = running.outputs
        found = torch.autograd.grad(read, list(outputs.values()), noise)
        # Where a head reads the mean of a text's tokens, each of many has a small part.
        root = (len(rows) / states.texts) ** 0.5
        return {name: gradient * root for name, gradient in zip(outputs, found, strict=True)}

    def squares(first: int) -> tuple[dict[int, dict[str, Tensor]], dict[str, Tensor]]:
        """Of every SHARDS-th batch: [tokens] by name for each, and [outputs, outputs] by name for all."""
        tokens: dict[int, dict[str, Tensor]] = {}
        products: dict[str, Tensor] = {}
        for seed in range(first, len(batches), SHARDS):
            generator = torch.Generator().manual_seed(seed)
            pieces: dict[str, list[Tensor]] = defaultdict(list)
            for piece in _pieces(batches[seed]):
                found = gradients(piece, generator)
                for name in wanted:
                    gradient = found[name]
                    heard = gradient.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
                    product = products.setdefault(name, torch.zeros(gradient.shape[1], gradient.shape[1]))
                    product.addmm_((gradient / heard).T, gradient)
                for group, names in groups.items():
                    pieces[group].append(
                        torch.stack([found[name].square().sum(dim=1) for name in names]).sum(0)
                    )
            tokens[seed] = {group: torch.cat(each) for group, each in pieces.items()}
        return tokens, products

    prefixes = [f"encoder.layers.{index}." for index in range(len(layers))]
    groups = {
        prefix + linears[0]: [prefix + part for part in linears]
        for prefix in prefixes
        for linears in LINEARS_BY_INPUT
    }
    hooks = [
        getattr(layer, part).register_forward_hook(note(prefix + part))
        for prefix, layer in zip(prefixes, layers, strict=True)
        for part in PARTS
    ]
    wanted = ["", *(prefix + part for prefix in prefixes for part in PARTS if prefix + part in names)]
    tokens: dict[int, dict[str, Tensor]] = {}
    outputs: dict[str, Tensor] = {}
    try:
        for of_batches, products in side_by_side(squares, range(min(SHARDS, len(batches)))):
            tokens |= of_batches
            for name, product in products.items():
                outputs[name] = outputs[name].add_(product) if name in outputs else product
    finally:
        for hook in hooks:
            hook.remove()
    table = _before_norm(outputs.pop(""), network.encoder.embeddings.norm.weight)
    counted = {group: _tempered([tokens[index][group] for index in sorted(tokens)]) for group in groups}
    return Curvature(counted, outputs, table)


def _before_norm(outputs: Tensor, gain: Tensor) -> Tensor:
    """Along what a layer normalisation reads: it takes no notice of the mean.

    Nor of the size, which is left out here: it is one of many directions, and another one for each token. Nor
    are tokens divided by their sizes here, which are much alike.
    """
    scaled = gain.unsqueeze(1) * outputs * gain
    return scaled - scaled.mean(dim=0) - scaled.mean(dim=1, keepdim=True) + scaled.mean()


def _pieces(states: States) -> Iterator[States]:
    """A few texts at a time: all that a layer computes is kept until the gradients are known."""
    length, heads = len(states.rows) // states.texts, len(states.mask) // states.texts
    count = max(PIECE_TOKENS // length, 1)
    for first in range(0, states.texts, count):
        texts = min(count, states.texts - first)
        rows = states.rows[first * length : (first + texts) * length]
        yield States(rows, states.mask[: texts * heads], texts)


def _tempered(squares: Sequence[Tensor]) -> list[Tensor]:
    """Roots with mean 1, none of them so small that its token would not be seen."""
    roots = [each.sqrt() for each in squares]
    mean = torch.cat(roots).mean().clamp(min=torch.finfo(torch.float32).tiny)
    return [LEAST + (1 - LEAST) * each / mean for each in roots]
