"""BERT as a sequence of operators, for targets whose graphs are written directly instead of traced.

The description says what is computed; a target's :class:`Operators` say how its format spells it. It walks
the modules of :class:`~bertmobile_export.network.Network` and computes what their ``forward`` computes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from torch import Tensor, nn

from bertmobile_export.activations import evaluate
from bertmobile_export.checkpoint.sentence_transformers import PoolingMode
from bertmobile_export.network import Network
from bertmobile_export.network.encoder import Embeddings, Layer, LayerNorm
from bertmobile_export.network.heads import (
    FeatureExtractionHead,
    Head,
    MaskedLanguageModelHead,
    PooledClassifierHead,
    QuestionAnsweringHead,
    Rows,
    TokenClassifierHead,
)
from bertmobile_export.network.sentence_embedding import (
    OUT_OF_MAXIMUM,
    SMALLEST_SQUARE,
    DenseStep,
    NormStep,
    Pool,
    UnitLength,
)

Value = TypeVar("Value")


class Operators(ABC, Generic[Value]):
    """What the description asks of a target.

    A ``Value`` is a tensor of the graph being written. States are [batch, rows, hidden]; names are those of
    the network's modules and become the names of nodes and weights.
    """

    @abstractmethod
    def input(self, name: str) -> Value:
        """An integer input of the model: [batch, length], or [batch, slots] for ``mask_positions``."""

    @abstractmethod
    def embedding(self, name: str, table: Tensor, ids: Value) -> Value:
        """Rows of ``table`` [n, hidden] for ``ids`` [batch, length]: [batch, length, hidden]."""

    @abstractmethod
    def position_embedding(self, name: str, table: Tensor, ids: Value) -> Value:
        """The first rows of ``table``, as many as ``ids`` are long: broadcasts to [batch, length, hidden]."""

    @abstractmethod
    def padding_scores(self, attention_mask: Value) -> Value:
        """0 for text and ``MASKED_SCORE`` for padding: [batch, 1, 1, length]."""

    @abstractmethod
    def rows_at(self, states: Value, positions: Value) -> Value:
        """The states at ``positions`` [batch, slots]: [batch, slots, hidden]."""

    @abstractmethod
    def first_row(self, states: Value) -> Value:
        """The state of [CLS]: [batch, 1, hidden]."""

    @abstractmethod
    def drop_rows_axis(self, states: Value) -> Value:
        """[batch, 1, n] to [batch, n]."""

    @abstractmethod
    def linears(self, name: str, states: Value, modules: Sequence[tuple[str, nn.Linear]]) -> list[Value]:
        """Linear layers that read the same states, which are quantized once where the recipe says so."""

    @abstractmethod
    def decoder(self, name: str, states: Value, module: nn.Linear, *, tied: bool) -> Value:
        """The vocabulary projection; ``tied`` when its weight is the word embedding table."""

    @abstractmethod
    def layer_norm(self, name: str, states: Value, norm: LayerNorm) -> Value:
        """Normalise over the last axis."""

    @abstractmethod
    def function(self, name: str, function: str, operands: Sequence[Value | float]) -> Value:
        """A step of a formula of :mod:`bertmobile_export.activations`, elementwise."""

    @abstractmethod
    def add(self, name: str, *values: Value) -> Value:
        """Sum of values that broadcast."""

    def add_and_norm(self, name: str, values: Sequence[Value], norm: LayerNorm) -> Value:
        """The normalised sum of values that broadcast."""
        return self.layer_norm(name, self.add(f"{name}.sum", *values), norm)

    @abstractmethod
    def scale(self, name: str, states: Value, factors: Tensor) -> Value:
        """Multiply each channel by its factor."""

    @abstractmethod
    def attention(
        self, name: str, query: Value, key: Value, value: Value, scores: Value, heads: int, scale: float
    ) -> Value:
        """Multi-head attention: softmax(query key^T scale + scores) value, [batch, query rows, hidden]."""

    @abstractmethod
    def column(self, name: str, states: Value, index: int) -> Value:
        """One channel: [batch, rows, n] to [batch, rows]."""

    # Rows have a number for each token of a text, and vectors are states of one row each. Both are in float32
    # where the format can mix types: sums over tokens and squared lengths may leave the range of float16.

    @abstractmethod
    def keep(self, mask: Value) -> Value:
        """A mask as a row."""

    @abstractmethod
    def numbers(self, mask: Value) -> Value:
        """0, 1, 2, ... as a row, as long as ``mask``; one for all texts will do."""

    @abstractmethod
    def weigh(self, name: str, states: Value, row: Value) -> Value:
        """The sum of a text's states, each multiplied by its number of the row."""

    @abstractmethod
    def largest(self, name: str, states: Value, row: Value) -> Value:
        """The largest value of each channel, after each state's number of the row is added to it."""

    @abstractmethod
    def first(self, name: str, states: Value) -> Value:
        """The state of [CLS] as a vector."""

    @abstractmethod
    def reduce(self, name: str, values: Value, how: Literal["sum", "max"]) -> Value:
        """The sum or the maximum of a row or a vector: [batch, 1]."""

    @abstractmethod
    def combine(
        self, name: str, first: Value, how: Literal["+", "-", "*", "/", "max"], second: Value | float
    ) -> Value:
        """Elementwise, of two rows or vectors, or of one and a number."""

    @abstractmethod
    def root(self, name: str, values: Value) -> Value:
        """The square root."""

    @abstractmethod
    def concatenate(self, name: str, vectors: Sequence[Value]) -> Value:
        """One vector behind the other."""

    @abstractmethod
    def shorten(self, name: str, vector: Value, size: int) -> Value:
        """The first numbers of a vector."""


def describe(network: Network, ops: Operators[Value]) -> dict[str, Value]:
    """Write ``network`` with ``ops``; returns its outputs by name, in order."""
    ids, mask, types = (ops.input(name) for name in ("input_ids", "attention_mask", "token_type_ids"))
    positions = ops.input("mask_positions") if network.takes_mask_positions else None
    pooled = ops.input("pooling_mask") if network.takes_pooling_mask else mask
    scores = ops.padding_scores(mask)
    states = _embeddings(ops, network.encoder.embeddings, ids, types)
    outputs = {"embeddings": states} if network.every_layer else {}
    last = len(network.encoder.layers) - 1
    for index, layer in enumerate(network.encoder.layers):
        assert isinstance(layer, Layer)
        rows = states
        if index == last and positions is not None:
            rows = ops.rows_at(states, positions)
        elif index == last and network.rows is Rows.FIRST:
            rows = ops.first_row(states)
        states = _layer(ops, f"encoder.layers.{index}", layer, states, rows, scores)
        if network.every_layer and not (index == last and isinstance(network.head, FeatureExtractionHead)):
            outputs[f"layer_{index}"] = states
    return outputs | _head(ops, network.head, states, pooled, network)


def _embeddings(ops: Operators[Value], module: Embeddings, ids: Value, types: Value) -> Value:
    name = "encoder.embeddings"
    parts = [
        ops.embedding(f"{name}.word", module.word.weight, ids),
        ops.embedding(f"{name}.token_type", module.token_type.weight, types),
        ops.position_embedding(f"{name}.position", module.position.weight, ids),
    ]
    return ops.add_and_norm(f"{name}.norm", parts, module.norm)


def _layer(
    ops: Operators[Value], name: str, layer: Layer, states: Value, rows: Value, scores: Value
) -> Value:
    def linear(part: str, values: Value) -> Value:
        return ops.linears(f"{name}.{part}", values, [(f"{name}.{part}", getattr(layer, part))])[0]

    def divided(part: str, values: Value, factors: Tensor | None) -> Value:
        return values if factors is None else ops.scale(f"{name}.{part}_scaled", values, 1.0 / factors)

    def multiplied(part: str, values: Value, factors: Tensor | None) -> Value:
        return values if factors is None else ops.scale(f"{name}.{part}_rescaled", values, factors)

    even = divided("states", states, layer.attention_input_scale)
    parts = [(f"{name}.{part}", getattr(layer, part)) for part in ("query", "key", "value")]
    if rows is states:
        query, key, value = ops.linears(f"{name}.attention_input", even, parts)
    else:
        key, value = ops.linears(f"{name}.attention_input", even, parts[1:])
        query = linear("query", divided("rows", rows, layer.attention_input_scale))
    context = ops.attention(f"{name}.attention", query, key, value, scores, layer.heads, layer.scale)
    projected = linear("attention_output", context)
    projected = multiplied("attention_output", projected, layer.attention_output_scale)
    attended = ops.add_and_norm(f"{name}.attention_norm", [projected, rows], layer.attention_norm)
    inner = linear("intermediate", divided("attended", attended, layer.intermediate_input_scale))
    inner = evaluate(layer.activation.kind.formula, inner, ops.function, f"{name}.activation")
    projected = linear("output", divided("inner", inner, layer.output_input_scale))
    projected = multiplied("output", projected, layer.output_scale)
    return ops.add_and_norm(f"{name}.output_norm", [projected, attended], layer.output_norm)


def _head(
    ops: Operators[Value], head: Head, states: Value, mask: Value, network: Network
) -> dict[str, Value]:
    def linear(part: str, values: Value) -> Value:
        return ops.linears(f"head.{part}", values, [(f"head.{part}", getattr(head, part))])[0]

    match head:
        case MaskedLanguageModelHead():
            inner = linear("transform", states)
            inner = evaluate(head.activation.kind.formula, inner, ops.function, "head.activation")
            inner = ops.layer_norm("head.norm", inner, head.norm)
            tied = head.decoder.weight is network.encoder.embeddings.word.weight
            return {"logits": ops.decoder("head.decoder", inner, head.decoder, tied=tied)}
        case PooledClassifierHead():
            first = states if network.rows is Rows.FIRST else ops.first_row(states)
            pooled = ops.function("head.pooled", "tanh", [linear("pooler", first)])
            return {"logits": ops.drop_rows_axis(linear("classifier", pooled))}
        case TokenClassifierHead():
            return {"logits": linear("classifier", states)}
        case QuestionAnsweringHead():
            span = linear("span", states)
            return {
                "start_logits": ops.column("head.start", span, 0),
                "end_logits": ops.column("head.end", span, 1),
            }
        case FeatureExtractionHead():
            vector = _pool(ops, "head.pool", head.pool, states, mask)
            for index, step in enumerate(head.steps):
                vector = _step(ops, f"head.steps.{index}", step, vector)
            if head.kept is not None:
                vector = ops.shorten("head.kept", vector, head.kept)
            return {"last_hidden_state": states, "sentence_embedding": ops.drop_rows_axis(vector)}
    raise TypeError(f"no description of {type(head).__name__}")


def _pool(ops: Operators[Value], name: str, pool: Pool, states: Value, mask: Value) -> Value:
    vectors = [
        _pooled(ops, f"{name}.{index}", pool, mode, states, mask) for index, mode in enumerate(pool.modes)
    ]
    return vectors[0] if len(vectors) == 1 else ops.concatenate(name, vectors)


def _pooled(
    ops: Operators[Value], name: str, pool: Pool, mode: PoolingMode, states: Value, mask: Value
) -> Value:
    def highest(keys: Value) -> Value:
        """1 for the highest of whole numbers, 0 for the others."""
        most = ops.reduce(f"{name}.highest", keys, "max")
        below = ops.combine(f"{name}.below", keys, "-", most)
        return ops.combine(f"{name}.found", ops.combine(f"{name}.above", below, "+", 1.0), "max", 0.0)

    def total(weights: Value, least: float) -> Value:
        return ops.combine(f"{name}.divisor", ops.reduce(f"{name}.total", weights, "sum"), "max", least)

    if mode == "cls" and pool.whole:
        return ops.first(name, states)
    keep = ops.keep(mask)
    if mode == "max":
        dropped = ops.combine(f"{name}.dropped", keep, "-", 1.0)
        return ops.largest(name, states, ops.combine(f"{name}.lowered", dropped, "*", -OUT_OF_MAXIMUM))
    if mode in ("mean", "mean_sqrt_len_tokens"):
        divisor = total(keep, 1.0)
        if mode == "mean_sqrt_len_tokens":
            divisor = ops.root(f"{name}.root", divisor)
        return ops.combine(name, ops.weigh(f"{name}.sum", states, keep), "/", divisor)
    numbers = ops.numbers(mask)
    if mode == "cls":
        kept = ops.combine(f"{name}.kept", keep, "*", float(pool.positions))
        return ops.weigh(name, states, highest(ops.combine(f"{name}.keys", kept, "-", numbers)))
    weights = ops.combine(f"{name}.weights", keep, "*", ops.combine(f"{name}.places", numbers, "+", 1.0))
    if mode == "lasttoken":
        return ops.weigh(name, states, ops.combine(f"{name}.last", highest(weights), "*", keep))
    shares = ops.combine(f"{name}.shares", weights, "*", pool.share)
    return ops.combine(name, ops.weigh(f"{name}.sum", states, shares), "/", total(shares, pool.share))


def _step(ops: Operators[Value], name: str, step: nn.Module, vector: Value) -> Value:
    match step:
        case DenseStep():
            # What reads the same vector is computed together: a residual's product, too.
            parts = [(f"{name}.linear", step.linear)]
            if step.residual is not None:
                parts.append((f"{name}.residual", step.residual))
            result, *residual = ops.linears(f"{name}.input", vector, parts)
            result = evaluate(step.activation.kind.formula, result, ops.function, f"{name}.activation")
            if step.adds_input:
                result = ops.add(f"{name}.sum", result, *(residual or [vector]))
            return result
        case NormStep():
            return ops.layer_norm(name, vector, step.norm)
        case UnitLength():
            squares = ops.combine(f"{name}.squares", vector, "*", vector)
            square = ops.reduce(f"{name}.square", squares, "sum")
            above_zero = ops.combine(f"{name}.above_zero", square, "max", SMALLEST_SQUARE)
            return ops.combine(name, vector, "/", ops.root(f"{name}.length", above_zero))
    raise TypeError(f"no description of {type(step).__name__}")
