"""The form for ONNX Runtime's CPU kernels: any batch and any length, and the operators that run fastest.

What was measured on its CPU provider (1.28, one thread): SkipLayerNormalization takes a third of the time of
LayerNormalization; QAttention and MultiHeadAttention are no faster than the products spelt out; MatMulNBits
with 8 bits takes two to three times as long as MatMulIntegerToFloat.
"""

from collections.abc import Sequence

import numpy as np
from onnx import numpy_helper
from torch import Tensor, nn

from bertmobile_export.activations import ACTIVATIONS
from bertmobile_export.network.encoder import LayerNorm
from bertmobile_export.quantization.packing import pack_bits
from bertmobile_export.sizes import WORD_TABLE
from bertmobile_export.targets.onnx.narrow import widen
from bertmobile_export.targets.onnx.operators import OnnxOperators, States
from bertmobile_export.targets.onnx.target import EVEN_ROWS

# MatMulNBits multiplies 8-bit integers, quantizing the states by rows and blocks, instead of widening the
# weights for every product.
INTEGER_PRODUCTS = 4
# Rows are divided by their largest value, or by this where that is less. GELU returns nothing below -0.17, so
# that they then lie within -1 and 1.
SMALLEST_ROW = 0.17


class RuntimeOperators(OnnxOperators):
    """See :class:`~bertmobile_export.targets.onnx.operators.OnnxOperators`."""

    def input_shape(self, name: str) -> Sequence[int | str]:
        if name == "mask_positions":
            assert self.plan.mask_slots
            return ["batch", self.plan.mask_slots]
        return ["batch", "length"]

    def shape(self, rows: int | None, *rest: int) -> str:
        if rows is not None:
            return self.graph.constant([-1, rows, *rest])
        sizes = self.once("Shape", "input_ids", name="batch_and_length")
        if not rest:
            return sizes
        name = "shape.batch_length_" + "_".join(map(str, rest))
        return self.once("Concat", sizes, self.graph.constant(rest), name=name, axis=0)

    def embedding(self, name: str, table: Tensor, ids: States) -> States:
        return States(self.lookup(name, table, self.flat(f"{ids.name}.flat", ids.name)))

    def position_embedding(self, name: str, table: Tensor, ids: States) -> States:
        row = self._positions()
        rows = self.graph.node("Expand", row, self.shape(None), name="position_ids.rows")
        return States(self.lookup(name, table, self.flat("position_ids", rows)))

    def _positions(self) -> str:
        """0, 1, 2, ... [length] int64."""
        ends = (self.graph.constant(0), self._size("length", 1), self.graph.constant(1))
        return self.once("Range", *ends, name="position_ids.row")

    def numbers(self, mask: States) -> States:
        return States(self.cast(self._positions(), np.int64))

    def rows_at(self, states: States, positions: States) -> States:
        node, constant = self.graph.node, self.graph.constant
        # Each text's positions count from the text's first row.
        texts = node("Range", constant(0), self._size("batch", 0), constant(1), name="texts")
        first = node("Mul", texts, self._size("length", 1), name="texts.first_row")
        column = node("Unsqueeze", first, constant([1]), name="texts.first_row.column")
        rows = node("Add", positions.name, column, name="masked_rows.positions")
        flat = self.flat("masked_rows.flat", rows)
        return States(node("Gather", states.name, flat, name="masked_rows"), self.plan.mask_slots)

    def first_row(self, states: States) -> States:
        texts = self.batched(f"{states.name}.texts", states, self.hidden)
        return States(self.graph.node("Gather", texts, self.graph.constant(0), name="first_row", axis=1), 1)

    def _size(self, name: str, axis: int) -> str:
        """A size of ``input_ids``, as a scalar."""
        return self.once("Gather", self.shape(None), self.graph.constant(axis), name=name)

    def add_and_norm(self, name: str, values: Sequence[States], norm: LayerNorm) -> States:
        *others, last = values
        summed = others[0] if len(others) == 1 else self.add(f"{name}.sum", *others)
        weight, bias = self.norm_parameters(name, norm)
        inputs = (summed.name, last.name, weight, bias, *([summed.bias] if summed.bias else []))
        node = self.graph.contrib("SkipLayerNormalization", *inputs, name=name, epsilon=norm.eps)
        return States(node, last.rows)

    def scale(self, name: str, states: States, factors: Tensor) -> States:
        if states.bias is not None:
            added = self.graph.node("Add", states.name, states.bias, name=f"{name}.biased")
            states = States(added, states.rows)
        return super().scale(name, states, factors)

    def products(self, name: str, query: str, key: str, scale: float) -> str:
        return self.graph.contrib("FusedMatMul", query, key, name=name, transB=1, alpha=scale)

    def quantized_input(self, name: str, value: str, module: str, matrix: str) -> str:
        if not self._is_dynamic(matrix):
            return super().quantized_input(name, value, module, matrix)
        codes = f"{name}.quantized"
        if codes not in self.graph.names:
            outputs = [codes, f"{codes}.scale", f"{codes}.zero_point"]
            self.graph.nodes("DynamicQuantizeLinear", value, name=codes, outputs=outputs)
        return codes

    def linears(self, name: str, states: States, modules: Sequence[tuple[str, nn.Linear]]) -> list[States]:
        first, module = modules[0]
        if not (self._is_dynamic(first) and name.rsplit(".", 1)[-1] in EVEN_ROWS):
            return super().linears(name, states, modules)
        # A run has one range, which its largest row would decide: all rows are made equally large, and get
        # their size back from the product.
        node = self.graph.node
        least = ACTIVATIONS[self.plan.config.hidden_act].least
        sizes = states.name if least is not None else node("Abs", states.name, name=f"{name}.sizes")
        largest = node("ReduceMax", sizes, self.graph.constant([1]), name=f"{name}.largest", keepdims=1)
        smallest = self.scalar(max(SMALLEST_ROW, least or 0.0))
        above_zero = node("Max", largest, smallest, name=f"{name}.largest.above_zero")
        even = node("Div", states.name, above_zero, name=f"{name}.even_rows")
        source = self.quantized_input(name, even, first, first)
        product = self._product(f"{name}.product", source, first)
        sized = node("Mul", product, above_zero, name=name)
        return [States(sized, states.rows, bias=self.vector(f"{name}.bias", module.bias))]

    def linear(self, name: str, source: str, matrix: str, module: nn.Linear) -> str:
        if self.form(matrix).granularity == "block":
            return self._block_product(name, source, matrix, module)
        if not self._is_dynamic(matrix):
            return super().linear(name, source, matrix, module)
        bias = self.vector(f"{name}.bias", module.bias)
        if matrix != WORD_TABLE:
            return self._product(name, source, matrix, bias)
        # The one integer kernel that reads the table as the lookup does, row by row.
        table, scales = self.codes(matrix), self.scales(matrix)
        zeros = self.graph.node(
            "ConstantOfShape",
            self.graph.constant([len(module.weight)]),
            name=f"{matrix}.weight.zero_points",
            value=numpy_helper.from_array(np.zeros(1, np.int8)),
        )
        inputs = (source, f"{source}.scale", f"{source}.zero_point", table, scales, zeros)
        product = self.graph.contrib("QGemm", *inputs, name=f"{name}.product", transB=1)
        return self.graph.node("Add", product, bias, name=name)

    def _product(self, name: str, source: str, matrix: str, bias: str = "") -> str:
        """A dynamically quantized input times a matrix, plus a bias where there is one."""
        scales = self.scales(matrix)
        columns = self._columns(matrix)
        inputs = (source, columns, f"{source}.scale", scales, f"{source}.zero_point", "", bias)
        return self.graph.contrib("MatMulIntegerToFloat", *inputs, name=name)

    def _columns(self, matrix: str) -> str:
        """8-bit codes as the kernel reads them: [inputs, outputs]."""
        codes = self.quantized(matrix)
        if codes.form.bits < 8:
            return widen(self.graph, f"{matrix}.weight", codes, transposed=True)
        return self.graph.weight(f"{matrix}.weight.columns", codes.codes.T)

    def _block_product(self, name: str, source: str, matrix: str, module: nn.Linear) -> str:
        """States times a matrix of blocks, plus the bias; the kernel quantizes the states itself."""
        form = self.form(matrix)
        inputs = (source, self._blocks(matrix), self._block_scales(matrix), "", "")
        return self.graph.contrib(
            "MatMulNBits",
            *inputs,
            self.vector(f"{name}.bias", module.bias),
            name=name,
            K=module.in_features,
            N=module.out_features,
            bits=form.bits,
            block_size=form.block_size,
            accuracy_level=INTEGER_PRODUCTS,
        )

    def lookup(self, name: str, table: Tensor, ids: str) -> str:
        form = self.form(name)
        if form.granularity != "block" or form.block_size is None:
            return super().lookup(name, table, ids)
        blocks, columns = self.quantized(name).scales.shape[1], table.shape[1]
        # The product reads the same bytes, block by block.
        width = self.graph.constant([len(table), blocks * form.block_size * form.bits // 8])
        rows = self.graph.node("Reshape", self._blocks(name), width, name=f"{name}.weight.rows")
        padded = blocks * form.block_size != columns
        found = self.graph.contrib(
            "GatherBlockQuantized",
            rows,
            ids,
            self._block_scales(name),
            name=f"{name}.padded" if padded else name,
            bits=form.bits,
            block_size=form.block_size,
            gather_axis=0,
            quantize_axis=1,
        )
        if not padded:
            return found
        ends = [self.graph.constant([number]) for number in (0, columns, 1)]
        return self.graph.node("Slice", found, *ends, name=name)

    def _blocks(self, name: str) -> str:
        """Codes as MatMulNBits reads them: [outputs, blocks, bytes], unsigned, the last block filled up."""
        matrix, form = self.quantized(name), self.form(name)
        rows, blocks = matrix.scales.shape
        assert form.block_size is not None
        middle = 2 ** (form.bits - 1)
        codes = np.full((rows, blocks * form.block_size), middle, np.uint8)
        codes[:, : matrix.codes.shape[1]] = matrix.codes.astype(np.int16) + middle
        packed = pack_bits(codes, form.bits).reshape(rows, blocks, -1)
        return self.graph.weight(f"{name}.weight.blocks", packed)

    def _block_scales(self, name: str) -> str:
        """[outputs, blocks]; stored in half precision, and widened once when the model is loaded."""
        scales = self.graph.weight(f"{name}.weight.scales", self.quantized(name).scales.astype(np.float16))
        return self.cast(scales, np.float16)

    def _is_dynamic(self, matrix: str) -> bool:
        form = self.form(matrix)
        return form.quantized and form.granularity != "block" and self.plan.recipe.activations == "dynamic"
