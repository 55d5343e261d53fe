"""The portable form: standard operators and one fixed shape, for the execution providers of phones."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from bertmobile_export.network.ranges import Ranges
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import QuantizedMatrix
from bertmobile_export.sizes import POSITION_TABLE
from bertmobile_export.targets.onnx.graph import Graph
from bertmobile_export.targets.onnx.operators import OnnxOperators, States


class PortableOperators(OnnxOperators):
    """See :class:`~bertmobile_export.targets.onnx.operators.OnnxOperators`; the batch is 1."""

    # An accelerator runs an operator on integers only where its output is quantized too.
    quantizes_outputs = True

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        codes: Mapping[str, QuantizedMatrix],
        ranges: Ranges | None = None,
    ) -> None:
        super().__init__(graph, plan, codes, ranges)
        (self._length,) = plan.lengths
        # An accelerator computes in half precision only where the whole graph does.
        if all(form.bits == 16 for form in plan.recipe.forms.values()):
            self.dtype = np.dtype(np.float16)

    def input_shape(self, name: str) -> Sequence[int | str]:
        if name == "mask_positions":
            assert self.plan.mask_slots
            return [1, self.plan.mask_slots]
        return [1, self._length]

    def shape(self, rows: int | None, *rest: int) -> str:
        return self.graph.constant([1, rows or self._length, *rest])

    # What precedes a look-up, which few accelerators take, would be a part of its own for them: so look-ups
    # read inputs, and what needs no input is stored.

    def embedding(self, name: str, table: Tensor, ids: States) -> States:
        return States(self.flat(f"{name}.rows", self.lookup(name, table, ids.name), self.hidden))

    def position_embedding(self, name: str, table: Tensor, ids: States) -> States:
        rows = table[: self._length]
        if not self.form(name).quantized:
            return States(self.cast(self.stored(name, rows), self.stored_dtype(name)))
        codes, scales = self.codes(name), self.scales(name)
        return States(self.graph.node("DequantizeLinear", codes, scales, name=name, axis=0))

    def quantized(self, name: str) -> QuantizedMatrix:
        matrix = super().quantized(name)
        return matrix.first_rows(self._length) if name == POSITION_TABLE else matrix

    def numbers(self, mask: States) -> States:
        return States(self.graph.weight("head.pool.numbers", np.arange(self._length, dtype=self.dtype)))

    def rows_at(self, states: States, positions: States) -> States:
        indices = self.flat("mask_positions.indices", positions.name, 1)
        rows = self.graph.node("GatherND", states.name, indices, name="masked_rows")
        return States(rows, self.plan.mask_slots)

    def first_row(self, states: States) -> States:
        return States(self.slice("first_row", states.name, 0, axis=0), 1)

    def products(self, name: str, query: str, key: str, scale: float) -> str:
        scaled = self.graph.node("Mul", query, self.scalar(scale), name=f"{name}.query")
        columns = self.graph.node("Transpose", key, name=f"{name}.key", perm=[0, 1, 3, 2])
        return self.graph.node("MatMul", scaled, columns, name=name)
