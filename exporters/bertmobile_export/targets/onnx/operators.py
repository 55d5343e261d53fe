"""How ONNX spells BERT: what the form for ONNX Runtime's CPU kernels and the portable form share.

States have two dimensions, [batch * rows, hidden], so that a linear layer is one Gemm that reads the
checkpoint's matrix as it is (``transB``), without a transposed copy.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from onnx import helper
from torch import Tensor, nn

from bertmobile_export.network.encoder import MASKED_SCORE, LayerNorm
from bertmobile_export.network.ranges import Range, Ranges
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import QuantizedMatrix
from bertmobile_export.recipes import WeightFormat
from bertmobile_export.sizes import WORD_TABLE
from bertmobile_export.targets.description import Operators
from bertmobile_export.targets.onnx.graph import Graph
from bertmobile_export.targets.onnx.narrow import widen

# ONNX's operators for the functions of activations, with their attributes.
_FUNCTIONS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "add": ("Add", {}),
    "clip": ("Clip", {}),
    "div": ("Div", {}),
    "erf": ("Erf", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "max": ("Max", {}),
    "mul": ("Mul", {}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "square": ("Mul", {}),
    "tanh": ("Tanh", {}),
}


@dataclass(frozen=True)
class States:
    """A value of the graph.

    Attributes:
        name: of the value.
        rows: of each text, or None for as many as it has tokens.
        bias: what has still to be added; only normalisation and :meth:`RuntimeOperators.scale` expect it.
    """

    name: str
    rows: int | None = None
    bias: str | None = None


class OnnxOperators(Operators[States]):
    """See :class:`~bertmobile_export.targets.description.Operators`.

    Args:
        graph: where nodes and weights go.
        plan: recipe and shapes.
        codes: of the matrices that the recipe stores as codes.
        ranges: of the inputs and outputs of the linear layers, for static activations.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)
    """The type of the states."""
    quantizes_outputs = False
    """Whether static activations are quantized behind linear layers as well as in front of them."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        codes: Mapping[str, QuantizedMatrix],
        ranges: Ranges | None = None,
    ) -> None:
        self.graph = graph
        self.plan = plan
        self.hidden = plan.config.hidden_size
        self._codes = codes
        self._ranges = ranges or {}
        self._widened: dict[str, str] = {}

    # What differs between a graph of any shape and one of a fixed shape.

    @abstractmethod
    def input_shape(self, name: str) -> Sequence[int | str]:
        """Declared shape of an input."""

    @abstractmethod
    def shape(self, rows: int | None, *rest: int) -> str:
        """The int64 vector [batch, rows, *rest]."""

    def finish(self, name: str, value: States, shape: Sequence[int | str]) -> None:
        """Make ``value`` the output ``name``; ``shape`` is the plan's, with symbolic sizes."""
        batch, length = self.input_shape("input_ids")
        known = {"batch": batch, "length": length, "rows": value.rows or length}
        sizes = [known.get(str(size), size) for size in shape]
        result = value.name
        if len(shape) == 3:
            width = shape[2]
            assert isinstance(width, int)
            result = self.batched(f"{name}.batched", value, width)
        if self.dtype != np.float32:
            result = self.graph.node("Cast", result, name=f"{name}.float", to=_element(np.float32))
        self.graph.output(name, result, np.float32, sizes)

    # Inputs and embeddings.

    def input(self, name: str) -> States:
        self.graph.input(name, np.int64, self.input_shape(name))
        return States(name)

    def lookup(self, name: str, table: Tensor, ids: str) -> str:
        """Rows of a table, [..., hidden] for ``ids`` [...]; only these are converted, not the table."""
        if not self.form(name).quantized:
            rows = self.graph.node("Gather", self.stored(name, table), ids, name=name)
            return self.cast(rows, self.stored_dtype(name))
        codes, scales = self.codes(name), self.scales(name)
        rows = self.graph.node("Gather", codes, ids, name=f"{name}.codes.rows")
        factors = self.graph.node("Gather", scales, ids, name=f"{name}.scales.rows")
        last = self.graph.constant([-1])
        column = self.graph.node("Unsqueeze", factors, last, name=f"{name}.scales.column")
        return self.graph.node("Mul", self.cast(rows, np.int8), column, name=name)

    def padding_scores(self, attention_mask: States) -> States:
        keep = self.cast(attention_mask.name, np.int64)
        padding = self.graph.node("Sub", self.scalar(1), keep, name="padding")
        scores = self.graph.node("Mul", padding, self.scalar(MASKED_SCORE), name="padding_scores.row")
        axes = self.graph.constant([1, 2])
        return States(self.graph.node("Unsqueeze", scores, axes, name="padding_scores"))

    # Rows.

    def drop_rows_axis(self, states: States) -> States:
        return states

    def column(self, name: str, states: States, index: int) -> States:
        column = self.slice(f"{name}.flat", states.name, index, axis=1)
        return States(self.graph.node("Reshape", column, self.shape(states.rows), name=name), states.rows)

    # Linear layers.

    def linears(self, name: str, states: States, modules: Sequence[tuple[str, nn.Linear]]) -> list[States]:
        first = modules[0][0]
        results = []
        for each, module in modules:
            source = self.quantized_input(name, states.name, first, each)
            results.append(States(self.linear(each, source, each, module), states.rows))
        return results

    def decoder(self, name: str, states: States, module: nn.Linear, *, tied: bool) -> States:
        matrix = WORD_TABLE if tied else name
        source = self.quantized_input(f"{name}.input", states.name, name, matrix)
        return States(self.linear(name, source, matrix, module), states.rows)

    def quantized_input(self, name: str, value: str, module: str, matrix: str) -> str:
        """``value`` as the linear layer ``module`` and those beside it read it.

        ``matrix`` is where a layer has its weights; layers whose matrices are alike share the result.
        """
        if not self.is_static(matrix):
            return value
        return self._quantize_dequantize(name, value, self._ranges[module].input)

    def linear(self, name: str, source: str, matrix: str, module: nn.Linear) -> str:
        """``source`` times the transposed matrix stored as ``matrix``, plus the bias."""
        form = self.form(matrix)
        if not form.quantized:
            weight = self.cast(self.stored(matrix, module.weight), self.stored_dtype(matrix))
            bias = self.vector(f"{name}.bias", module.bias)
            return self.graph.node("Gemm", source, weight, bias, name=name, transB=1)
        # ONNX Runtime only fuses weights and biases whose zero points are spelt out.
        zeros = self.graph.weight(f"{matrix}.weight.zeros", np.zeros(len(module.weight), np.int8))
        inputs = (self.codes(matrix), self.scales(matrix), zeros)
        weight = self.once("DequantizeLinear", *inputs, name=f"{matrix}.weight", axis=0)
        if not self.is_static(matrix):
            bias = self.vector(f"{name}.bias", module.bias)
            return self.graph.node("Gemm", source, weight, bias, name=name, transB=1)
        result = self.graph.node(
            "Gemm", source, weight, self._static_bias(name, matrix, module), name=f"{name}.float", transB=1
        )
        if not self.quantizes_outputs:
            return result
        return self._quantize_dequantize(f"{name}.output", result, self._ranges[name].output)

    def _static_bias(self, name: str, matrix: str, module: nn.Linear) -> str:
        """The bias in the unit of the products, as integer kernels add it."""
        scales = self._ranges[name].input.scale * self.quantized(matrix).scales[:, 0]
        codes = np.rint(module.bias.numpy().astype(np.float64) / scales)
        limit = np.iinfo(np.int32).max
        codes = np.clip(codes, -limit, limit).astype(np.int32)
        return self.graph.node(
            "DequantizeLinear",
            self.graph.weight(f"{name}.bias.codes", codes),
            self.graph.weight(f"{name}.bias.scales", scales.astype(self.dtype)),
            self.graph.weight(f"{name}.bias.zeros", np.zeros(len(codes), np.int32)),
            name=f"{name}.bias",
            axis=0,
        )

    def _quantize_dequantize(self, name: str, value: str, range_: Range) -> str:
        scale = self.scalar(range_.scale)
        zero = self.graph.constant(range_.zero_point, np.uint8)
        codes = self.once("QuantizeLinear", value, scale, zero, name=f"{name}.quantized")
        return self.once("DequantizeLinear", codes, scale, zero, name=f"{name}.dequantized")

    # Elementwise, normalisation, attention.

    def add(self, name: str, *values: States) -> States:
        first, *others = (value.name for value in values)
        for index, other in enumerate(others):
            last = index == len(others) - 1
            first = self.graph.node("Add", first, other, name=name if last else f"{name}.{index}")
        return States(first, values[0].rows)

    def layer_norm(self, name: str, states: States, norm: LayerNorm) -> States:
        weight, bias = self.norm_parameters(name, norm)
        node = self.graph.node(
            "LayerNormalization", states.name, weight, bias, name=name, axis=-1, epsilon=norm.eps
        )
        return States(node, states.rows)

    def norm_parameters(self, name: str, norm: LayerNorm) -> tuple[str, str]:
        """Names of the scale and the shift."""
        return self.vector(f"{name}.weight", norm.weight), self.vector(f"{name}.bias", norm.bias)

    def function(self, name: str, function: str, operands: Sequence[States | float]) -> States:
        inputs = [self.scalar(each) if isinstance(each, float) else each.name for each in operands]
        operator, attributes = _FUNCTIONS[function]
        if function == "square":
            inputs *= 2
        rows = next(each.rows for each in operands if isinstance(each, States))
        return States(self.graph.node(operator, *inputs, name=name, **attributes), rows)

    def scale(self, name: str, states: States, factors: Tensor) -> States:
        values = self.vector(f"{name}.factors", factors)
        return States(self.graph.node("Mul", states.name, values, name=name), states.rows)

    def attention(
        self, name: str, query: States, key: States, value: States, scores: States, heads: int, scale: float
    ) -> States:
        size = self.hidden // heads

        def split(part: str, states: States) -> str:
            parts = self.shape(states.rows, heads, size)
            split = self.graph.node("Reshape", states.name, parts, name=f"{name}.{part}.heads")
            return self.graph.node("Transpose", split, name=f"{name}.{part}", perm=[0, 2, 1, 3])

        products = self.products(f"{name}.products", split("query", query), split("key", key), scale)
        masked = self.graph.node("Add", products, scores.name, name=f"{name}.masked")
        weights = self.graph.node("Softmax", masked, name=f"{name}.probabilities", axis=-1)
        context = self.graph.node("MatMul", weights, split("value", value), name=f"{name}.context")
        joined = self.graph.node("Transpose", context, name=f"{name}.context.rows", perm=[0, 2, 1, 3])
        return States(self.flat(name, joined, self.hidden), query.rows)

    @abstractmethod
    def products(self, name: str, query: str, key: str, scale: float) -> str:
        """query key^T scale, of [batch, heads, rows, size] each."""

    # Text vectors.

    def keep(self, mask: States) -> States:
        return States(self.cast(mask.name, np.int64))

    @abstractmethod
    def numbers(self, mask: States) -> States:
        """See :meth:`~bertmobile_export.targets.description.Operators.numbers`."""

    def weigh(self, name: str, states: States, row: States) -> States:
        weighed = self._with_row(f"{name}.states", "Mul", states, row)
        return self._vector("ReduceSum", weighed, name)

    def largest(self, name: str, states: States, row: States) -> States:
        return self._vector("ReduceMax", self._with_row(f"{name}.states", "Add", states, row), name)

    def _with_row(self, name: str, operator: str, states: States, row: States) -> str:
        texts = self.batched("head.texts", states, self.hidden)
        column = self.once("Unsqueeze", row.name, self.graph.constant([2]), name=f"{row.name}.column")
        return self.graph.node(operator, texts, column, name=name)

    def _vector(self, operator: str, texts: str, name: str) -> States:
        return States(self.graph.node(operator, texts, self.graph.constant([1]), name=name, keepdims=0), 1)

    def first(self, name: str, states: States) -> States:
        return self.first_row(states)

    def reduce(self, name: str, values: States, how: Literal["sum", "max"]) -> States:
        operator = {"sum": "ReduceSum", "max": "ReduceMax"}[how]
        last = self.graph.constant([1])
        return States(self.once(operator, values.name, last, name=name, keepdims=1), values.rows)

    def combine(
        self, name: str, first: States, how: Literal["+", "-", "*", "/", "max"], second: States | float
    ) -> States:
        operator = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "max": "Max"}[how]
        if not isinstance(second, States):
            # What half precision cannot hold would be 0, and nothing can be divided by that.
            smallest = float(np.finfo(self.dtype).smallest_subnormal)
            second = States(self.scalar(max(second, smallest) if 0 < second < 1 else second))
        return States(self.graph.node(operator, first.name, second.name, name=name), first.rows)

    def root(self, name: str, values: States) -> States:
        return States(self.graph.node("Sqrt", values.name, name=name), values.rows)

    def concatenate(self, name: str, vectors: Sequence[States]) -> States:
        names = (vector.name for vector in vectors)
        return States(self.graph.node("Concat", *names, name=name, axis=1), 1)

    def shorten(self, name: str, vector: States, size: int) -> States:
        ends = [self.graph.constant([number]) for number in (0, size, 1)]
        return States(self.graph.node("Slice", vector.name, *ends, name=name), vector.rows)

    # Weights.

    def form(self, matrix: str) -> WeightFormat:
        """The recipe's format for the weights of a module."""
        return self.plan.recipe.form(matrix)

    def is_static(self, matrix: str) -> bool:
        """Whether the activations that meet the matrix have calibrated ranges."""
        return self.form(matrix).quantized and self.plan.recipe.activations == "static"

    def quantized(self, name: str) -> QuantizedMatrix:
        """Codes and scales of a matrix."""
        return self._codes[name]

    def codes(self, name: str) -> str:
        """Codes as the checkpoint has the matrix: [outputs, inputs]."""
        matrix = self.quantized(name)
        if matrix.form.bits == 8:
            return self.graph.weight(f"{name}.weight.codes", matrix.codes)
        if name not in self._widened:
            self._widened[name] = widen(self.graph, f"{name}.weight", matrix, transposed=False)
        return self._widened[name]

    def scales(self, name: str) -> str:
        """One scale for each row of the matrix."""
        scales = self.quantized(name).scales[:, 0].astype(self.dtype, copy=False)
        return self.graph.weight(f"{name}.weight.scales", scales)

    def stored_dtype(self, name: str) -> Any:
        """The type of a matrix that is not quantized, in the file."""
        return np.float16 if self.form(name).bits == 16 else np.float32

    def stored(self, name: str, weight: Tensor) -> str:
        """A matrix that is not quantized."""
        values = weight.numpy().astype(self.stored_dtype(name), copy=False)
        return self.graph.weight(f"{name}.weight.stored", values)

    def vector(self, name: str, values: Tensor) -> str:
        """Bias, scale or shift."""
        return self.graph.weight(name, values.numpy().astype(self.dtype, copy=False))

    def scalar(self, value: float) -> str:
        return self.graph.constant(value, self.dtype)

    # Nodes.

    def batched(self, name: str, states: States, width: int) -> str:
        """[batch * rows, width] to [batch, rows, width]."""
        return self.once("Reshape", states.name, self.shape(states.rows, width), name=name)

    def flat(self, name: str, value: str, *rest: int) -> str:
        """All axes but ``rest`` as one."""
        return self.once("Reshape", value, self.graph.constant([-1, *rest]), name=name)

    def slice(self, name: str, value: str, index: int, axis: int) -> str:
        """One entry along an axis, which stays."""
        ends = [self.graph.constant([number]) for number in (index, index + 1, axis)]
        return self.graph.node("Slice", value, *ends, name=name)

    def cast(self, value: str, dtype: Any) -> str:
        """``value``, which has type ``dtype``, in the type of the states."""
        if np.dtype(dtype) == self.dtype:
            return value
        return self.once("Cast", value, name=f"{value}.cast", to=_element(self.dtype))

    def once(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """A node that several readers share."""
        if name not in self.graph.names:
            self.graph.node(operator, *inputs, name=name, **attributes)
        return name


def _element(dtype: Any) -> int:
    element: int = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return element
