"""The BERT encoder in plain, traceable operators (Devlin et al., 2018, https://arxiv.org/abs/1810.04805).

Every target converts these modules, so they hold to what all converters take: static shapes, integer
inputs, no data-dependent control flow, no in-place writes.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from bertmobile_export.activations import ACTIVATIONS, evaluate
from bertmobile_export.checkpoint.config import ModelConfig

# Added to the attention scores of padding. transformers uses float32's minimum, which overflows in fp16
# and stretches a static int8 range until every score rounds to zero. exp(-100) is 4e-44: padding still
# weighs nothing beside any real token, and both formats can hold it.
MASKED_SCORE = -100.0

# The linear layers of a layer in the order in which they run, those that read the same states together.
LINEARS_BY_INPUT = (("query", "key", "value"), ("attention_output",), ("intermediate",), ("output",))
PARTS = tuple(part for linears in LINEARS_BY_INPUT for part in linears)

# The buffers of a layer that equalise() may set.
SCALES = (
    "attention_input_scale",
    "intermediate_input_scale",
    "output_input_scale",
    "attention_output_scale",
    "output_scale",
)


_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "add": operator.add,
    "clip": torch.clamp,
    "div": operator.truediv,
    "erf": torch.erf,
    "gelu": nn.functional.gelu,
    "gelu_tanh": partial(nn.functional.gelu, approximate="tanh"),
    "max": torch.maximum,
    "mul": operator.mul,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "square": torch.square,
    "tanh": torch.tanh,
}


class Activation(nn.Module):
    """The activation that a config's ``hidden_act`` names; ``kind`` is its formula."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.kind = ACTIVATIONS[name]

    def forward(self, states: Tensor) -> Tensor:
        """Elementwise."""
        return evaluate(self.kind.formula, states, _applied)


def _applied(name: str, function: str, operands: Sequence[Tensor | float]) -> Tensor:
    return _FUNCTIONS[function](*operands)


class LayerNorm(nn.LayerNorm):
    """Layer normalisation (Ba et al., 2016, https://arxiv.org/abs/1607.06450) spelt out.

    Converters decompose the torch operator into a form with reshapes and a second subtraction; these nine
    operators are what the runtimes need.
    """

    def forward(self, input: Tensor) -> Tensor:
        centred = input - input.mean(dim=-1, keepdim=True)
        variance = (centred * centred).mean(dim=-1, keepdim=True)
        normalised: Tensor = centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        return normalised


class Embeddings(nn.Module):
    """Sum of word, position and segment embeddings, normalised."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor | None = None
    ) -> Tensor:
        """Embed tokens.

        Args:
            input_ids, token_type_ids: [batch, length] integer.
            position_ids: [length] integer; 0, 1, 2, ... when omitted.

        Returns:
            [batch * length, hidden] float32.
        """
        batch, length = input_ids.shape
        position = self.position.weight[:length] if position_ids is None else self.position(position_ids)
        if batch > 1:
            position = position.repeat(batch, 1)
        words = self.word(input_ids.reshape(-1)) + self.token_type(token_type_ids.reshape(-1))
        normalised: Tensor = self.norm(words + position)
        return normalised


class Layer(nn.Module):
    """One post-norm transformer layer: self-attention, then the feed-forward network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.heads = config.num_attention_heads
        self.scale = 1.0 / math.sqrt(hidden // self.heads)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.attention_output = nn.Linear(hidden, hidden)
        self.attention_norm = LayerNorm(hidden, eps=config.layer_norm_eps)
        self.intermediate = nn.Linear(hidden, config.intermediate_size)
        self.activation = Activation(config.hidden_act)
        self.output = nn.Linear(config.intermediate_size, hidden)
        self.output_norm = LayerNorm(hidden, eps=config.layer_norm_eps)
        # Set by equalise(): positive scales for each channel, float32, that the weights have taken in and the
        # activations give back. None, as here, means that there is no such operator.
        # What a linear reads is multiplied by 1 / scale, and its weights' columns hold the scale:
        self.attention_input_scale: Tensor | None  # [hidden], for query, key and value alike
        self.intermediate_input_scale: Tensor | None  # [hidden]
        self.output_input_scale: Tensor | None  # [intermediate]
        # The rows of a linear, and its bias, are divided by the scale, and the sum with the residual gives it
        # back, (projected + residual * (1 / scale)) * scale:
        self.attention_output_scale: Tensor | None  # [hidden]
        self.output_scale: Tensor | None  # [hidden]
        for name in SCALES:
            self.register_buffer(name, None)

    def _split_heads(self, states: Tensor, batch: int) -> Tensor:
        """[batch * n, hidden] to [batch * heads, n, hidden / heads]."""
        rows, hidden = states.shape[0] // batch, states.shape[1]
        split = states.reshape(batch, rows, self.heads, hidden // self.heads).transpose(1, 2)
        return split.reshape(batch * self.heads, rows, hidden // self.heads)

    def _join_heads(self, states: Tensor, batch: int) -> Tensor:
        """[batch * heads, n, hidden / heads] to [batch * n, hidden]."""
        _, rows, size = states.shape
        joined = states.reshape(batch, self.heads, rows, size).transpose(1, 2)
        return joined.reshape(batch * rows, self.heads * size)

    def forward(self, states: Tensor, mask: Tensor, rows: Tensor | None = None) -> Tensor:
        """Transform ``states``; with ``rows``, only those rows (keys and values still come from all of them).

        Args:
            states: [batch * length, hidden] float32. Two dimensions, because converters wrap a linear layer
                over three in a pair of reshapes.
            mask: [batch, 1, 1, length] float32, added to the attention scores.
            rows: [batch * n, hidden] float32, the rows of ``states`` that the head will read. No later layer
                attends to the others, so leaving their queries and feed-forward out is exact.

        Returns:
            [batch * length or batch * n, hidden] float32.
        """
        batch = max(mask.shape[0] // self.heads, 1)
        inputs = _divide(states, self.attention_input_scale)
        asking = inputs if rows is None else _divide(rows, self.attention_input_scale)
        rows = states if rows is None else rows
        query = self._split_heads(self.query(asking) * self.scale, batch)
        key = self._split_heads(self.key(inputs), batch)
        value = self._split_heads(self.value(inputs), batch)
        scores = torch.bmm(query, key.transpose(1, 2)) + mask
        context = self._join_heads(torch.bmm(torch.softmax(scores, dim=-1), value), batch)
        projected = self.attention_output(context)
        attended = self.attention_norm(_add(projected, rows, self.attention_output_scale))
        inner = self.activation(self.intermediate(_divide(attended, self.intermediate_input_scale)))
        projected = self.output(_divide(inner, self.output_input_scale))
        normalised: Tensor = self.output_norm(_add(projected, attended, self.output_scale))
        return normalised


def _divide(states: Tensor, scale: Tensor | None) -> Tensor:
    """``states / scale``, as a product with a constant that no converter has a reason to fold."""
    return states if scale is None else states * (1.0 / scale)


def _add(projected: Tensor, residual: Tensor, scale: Tensor | None) -> Tensor:
    """``scale * projected + residual``, in a form whose scale no converter folds into the weights."""
    if scale is None:
        return projected + residual
    return (projected + residual * (1.0 / scale)) * scale


class Encoder(nn.Module):
    """Embeddings and the stack of layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
