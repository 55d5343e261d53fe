"""How MIL, the language of ML Programs, spells BERT.

States are [1, rows, hidden]: Core ML runs one text at a time.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var, types
from numpy.typing import NDArray
from torch import Tensor, nn

from bertmobile_export.network.encoder import MASKED_SCORE, LayerNorm
from bertmobile_export.network.ranges import Range
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import QuantizedMatrix
from bertmobile_export.recipes import WeightFormat
from bertmobile_export.sizes import POSITION_TABLE, WORD_TABLE
from bertmobile_export.targets.coreml.weights import store_codes, store_floats
from bertmobile_export.targets.description import Operators

# MIL's operators for the functions of activations, with the names of their operands and their attributes.
_FUNCTIONS: Mapping[str, tuple[Any, tuple[str, ...], Mapping[str, str]]] = {
    "add": (mb.add, ("x", "y"), {}),
    "clip": (mb.clip, ("x", "alpha", "beta"), {}),
    "div": (mb.real_div, ("x", "y"), {}),
    "erf": (mb.erf, ("x",), {}),
    "gelu": (mb.gelu, ("x",), {"mode": "EXACT"}),
    "gelu_tanh": (mb.gelu, ("x",), {"mode": "TANH_APPROXIMATION"}),
    "max": (mb.maximum, ("x", "y"), {}),
    "mul": (mb.mul, ("x", "y"), {}),
    "relu": (mb.relu, ("x",), {}),
    "sigmoid": (mb.sigmoid, ("x",), {}),
    "square": (mb.square, ("x",), {}),
    "tanh": (mb.tanh, ("x",), {}),
}


class MilOperators(Operators[Var]):
    """See :class:`~bertmobile_export.targets.description.Operators`; adds to the current MIL function.

    Args:
        inputs: of the function, int32.
        plan: recipe and lengths.
        codes: of the matrices that the recipe stores as codes.
        ios: oldest system that must run the program.
        ranges: of the inputs of the linear operations by their names, for static activations.
    """

    def __init__(
        self,
        inputs: Mapping[str, Var],
        plan: Plan,
        codes: Mapping[str, QuantizedMatrix],
        ios: int,
        ranges: Mapping[str, Range] | None,
    ) -> None:
        self._inputs = inputs
        self._recipe = plan.recipe
        self._codes = codes
        self._lengths = plan.lengths
        self._ios = ios
        self._ranges = ranges
        self._matrices: dict[str, Var] = {}
        self._shared: dict[str, Var] = {}
        # The widest weights decide the arithmetic.
        wide = any(form.bits == 32 for form in self._recipe.forms.values())
        self._dtype: Any = np.float32 if wide else np.float16
        self._mil_dtype = "fp32" if wide else "fp16"

    # Inputs and embeddings.

    def input(self, name: str) -> Var:
        return self._inputs[name]

    def embedding(self, name: str, table: Tensor, ids: Var) -> Var:
        return mb.gather(x=self._matrix(name, table), indices=ids, axis=0, name=_spelt(name))

    def position_embedding(self, name: str, table: Tensor, ids: Var) -> Var:
        rows = self._matrix(name, table[: max(self._lengths)])
        if len(self._lengths) == 1:
            return rows
        length = mb.slice_by_index(x=mb.shape(x=ids, name="shape"), begin=[1], end=[2], name="length")
        end = mb.concat(values=[length, np.array([table.shape[1]], np.int32)], axis=0, name="end")
        return mb.slice_by_index(x=rows, begin=[0, 0], end=end, end_mask=[False, True], name=_spelt(name))

    def padding_scores(self, attention_mask: Var) -> Var:
        keep = mb.cast(x=attention_mask, dtype=self._mil_dtype, name="keep")
        padding = mb.sub(x=self._dtype(1), y=keep, name="padding")
        scores = mb.mul(x=padding, y=self._dtype(MASKED_SCORE), name="padding_scores_row")
        return mb.expand_dims(x=scores, axes=[1, 2], name="padding_scores")

    # Rows.

    def rows_at(self, states: Var, positions: Var) -> Var:
        indices = mb.squeeze(x=positions, axes=[0], name="positions")
        return mb.gather(x=states, indices=indices, axis=1, name="masked_rows")

    def first_row(self, states: Var) -> Var:
        hidden = states.shape[2]
        return mb.slice_by_index(x=states, begin=[0, 0, 0], end=[1, 1, hidden], name="first_row")

    def drop_rows_axis(self, states: Var) -> Var:
        return mb.squeeze(x=states, axes=[1], name=f"{states.name}_squeezed")

    def column(self, name: str, states: Var, index: int) -> Var:
        return mb.slice_by_index(
            x=states,
            begin=[0, 0, index],
            end=[0, 0, index + 1],
            begin_mask=[True, True, False],
            end_mask=[True, True, False],
            squeeze_mask=[False, False, True],
            name=_spelt(name),
        )

    # Linear layers.

    def linears(self, name: str, states: Var, modules: Sequence[tuple[str, nn.Linear]]) -> list[Var]:
        first, _ = modules[0]
        source = self._linear_input(name, self._usual(states), first, first)
        return [self._linear(each, source, each, module) for each, module in modules]

    def decoder(self, name: str, states: Var, module: nn.Linear, *, tied: bool) -> Var:
        matrix = WORD_TABLE if tied else name
        return self._linear(name, self._linear_input(name, states, name, matrix), matrix, module)

    def _linear(self, name: str, source: Var, matrix: str, module: nn.Linear) -> Var:
        weight = self._matrix(matrix, module.weight)
        return mb.linear(x=source, weight=weight, bias=self._vector(module.bias), name=_spelt(name))

    def _linear_input(self, name: str, states: Var, module: str, matrix: str) -> Var:
        """``states`` as the linear layer ``module`` reads them: on 256 levels where the recipe is static."""
        if self._ranges is None or not self._form(matrix).quantized:
            return states
        return self._quantize_dequantize(_spelt(name), states, self._ranges[_spelt(module)])

    def _quantize_dequantize(self, name: str, states: Var, range_: Range) -> Var:
        scale = self._dtype(range_.scale)
        # Range counts its levels from 0 to 255.
        zero_point = np.int8(range_.zero_point - 128)
        codes = mb.quantize(
            input=states, scale=scale, zero_point=zero_point, output_dtype="int8", name=f"{name}_quantized"
        )
        return mb.dequantize(input=codes, scale=scale, zero_point=zero_point, name=f"{name}_dequantized")

    # Elementwise and normalisation.

    def layer_norm(self, name: str, states: Var, norm: LayerNorm) -> Var:
        # BERT's 1e-12 would be 0 in float16. Its smallest number, 6e-8, still is nothing beside a variance.
        epsilon = max(norm.eps, float(np.finfo(self._dtype).smallest_subnormal))
        gamma, beta = self._vector(norm.weight), self._vector(norm.bias)
        return mb.layer_norm(
            x=self._usual(states),
            axes=[-1],
            gamma=gamma,
            beta=beta,
            epsilon=self._dtype(epsilon),
            name=_spelt(name),
        )

    def function(self, name: str, function: str, operands: Sequence[Var | float]) -> Var:
        values = [self._dtype(each) if isinstance(each, float) else each for each in operands]
        operator, parameters, attributes = _FUNCTIONS[function]
        return operator(**dict(zip(parameters, values, strict=True)), **attributes, name=_spelt(name))

    def add(self, name: str, *values: Var) -> Var:
        *early, last = map(self._usual, values)
        total, *more = early
        for index, value in enumerate(more):
            total = mb.add(x=total, y=value, name=f"{_spelt(name)}_{index}")
        return mb.add(x=total, y=last, name=_spelt(name))

    def scale(self, name: str, states: Var, factors: Tensor) -> Var:
        return mb.mul(x=states, y=self._vector(factors), name=_spelt(name))

    # Attention.

    def attention(
        self, name: str, query: Var, key: Var, value: Var, scores: Var, heads: int, scale: float
    ) -> Var:
        name, hidden = _spelt(name), query.shape[2]

        def split(part: str, states: Var) -> Var:
            parts = mb.reshape(x=states, shape=[1, -1, heads, hidden // heads], name=f"{name}_{part}_heads")
            return mb.transpose(x=parts, perm=[0, 2, 1, 3], name=f"{name}_{part}")

        if self._ios >= 18:  # its scale is that of BERT: the root of the size of a head
            context = mb.scaled_dot_product_attention(
                query=split("query", query),
                key=split("key", key),
                value=split("value", value),
                attn_mask=scores,
                name=f"{name}_context",
            )
        else:
            scaled = mb.mul(x=split("query", query), y=self._dtype(scale), name=f"{name}_scaled")
            products = mb.matmul(x=scaled, y=split("key", key), transpose_y=True, name=f"{name}_products")
            masked = mb.add(x=products, y=scores, name=f"{name}_masked")
            probabilities = mb.softmax(x=masked, axis=-1, name=f"{name}_probabilities")
            context = mb.matmul(x=probabilities, y=split("value", value), name=f"{name}_context")
        rows = mb.transpose(x=context, perm=[0, 2, 1, 3], name=f"{name}_rows")
        return mb.reshape(x=rows, shape=[1, -1, hidden], name=name)

    # Text vectors, [1, 1, n], and rows, [1, 1, length].

    def keep(self, mask: Var) -> Var:
        if "keep" not in self._shared:
            row = mb.cast(x=mask, dtype="fp32", name="pooled")
            self._shared["keep"] = mb.expand_dims(x=row, axes=[1], name="pooled_row")
        return self._shared["keep"]

    def numbers(self, mask: Var) -> Var:
        if "numbers" not in self._shared:
            if len(self._lengths) == 1:
                row = np.arange(self._lengths[0], dtype=np.float32).reshape(1, 1, -1)
                self._shared["numbers"] = mb.const(val=row, name="numbers")
            else:  # counted, since a length that varies has no constant
                zeros = mb.mul(x=self.keep(mask), y=np.float32(0), name="zeros")
                ones = mb.add(x=zeros, y=np.float32(1), name="ones")
                self._shared["numbers"] = mb.cumsum(x=ones, axis=2, exclusive=True, name="numbers")
        return self._shared["numbers"]

    def weigh(self, name: str, states: Var, row: Var) -> Var:
        return mb.matmul(x=row, y=self._wide(states), name=_spelt(name))

    def largest(self, name: str, states: Var, row: Var) -> Var:
        column = mb.transpose(x=row, perm=[0, 2, 1], name=f"{_spelt(name)}_column")
        moved = mb.add(x=self._wide(states), y=column, name=f"{_spelt(name)}_states")
        return mb.reduce_max(x=moved, axes=[1], keep_dims=True, name=_spelt(name))

    def first(self, name: str, states: Var) -> Var:
        return self._wide(self.first_row(states))

    def reduce(self, name: str, values: Var, how: Literal["sum", "max"]) -> Var:
        operator = {"sum": mb.reduce_sum, "max": mb.reduce_max}[how]
        return operator(x=self._wide(values), axes=[2], keep_dims=True, name=_spelt(name))

    def combine(
        self, name: str, first: Var, how: Literal["+", "-", "*", "/", "max"], second: Var | float
    ) -> Var:
        operator = {"+": mb.add, "-": mb.sub, "*": mb.mul, "/": mb.real_div, "max": mb.maximum}[how]
        other = self._wide(second) if isinstance(second, Var) else np.float32(second)
        return operator(x=self._wide(first), y=other, name=_spelt(name))

    def root(self, name: str, values: Var) -> Var:
        return mb.sqrt(x=values, name=_spelt(name))

    def concatenate(self, name: str, vectors: Sequence[Var]) -> Var:
        return mb.concat(values=list(vectors), axis=2, name=_spelt(name))

    def shorten(self, name: str, vector: Var, size: int) -> Var:
        return mb.slice_by_index(x=vector, begin=[0, 0, 0], end=[1, 1, size], name=_spelt(name))

    def _wide(self, values: Var) -> Var:
        """In float32."""
        return self._cast_once(values, "fp32")

    def _usual(self, values: Var) -> Var:
        """In the type that the program computes in."""
        return self._cast_once(values, self._mil_dtype)

    def _cast_once(self, values: Var, dtype: str) -> Var:
        if values.dtype == {"fp16": types.fp16, "fp32": types.fp32}[dtype]:
            return values
        name = f"{values.name}_{dtype}"
        if name not in self._shared:
            self._shared[name] = mb.cast(x=values, dtype=dtype, name=name)
        return self._shared[name]

    # Weights.

    def _form(self, matrix: str) -> WeightFormat:
        """The recipe's format for the weights of a module."""
        return self._recipe.form(matrix)

    def _matrix(self, name: str, weight: Tensor) -> Var:
        """A matrix, stored once however many read it."""
        if name not in self._matrices:
            spelt, form = f"{_spelt(name)}_weight", self._form(name)
            if form.quantized:
                codes = self._codes[name]
                if name == POSITION_TABLE:
                    codes = codes.first_rows(len(weight))
                self._matrices[name] = store_codes(spelt, codes, self._dtype, ios=self._ios)
            else:
                self._matrices[name] = store_floats(spelt, weight, form, self._dtype)
        return self._matrices[name]

    def _vector(self, values: Tensor) -> NDArray[np.floating]:
        """Bias, scale or shift."""
        return values.numpy().astype(self._dtype, copy=False)


def _spelt(name: str) -> str:
    """A module's name as MIL can spell it."""
    return name.replace(".", "_")
