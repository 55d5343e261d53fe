"""Codes of fewer than 8 bits are widened when a session is made, to the codes that the quantizer chose."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.quantization import QuantizedMatrix
from bertmobile_export.quantization.grid import make_grid
from bertmobile_export.quantization.rounding import round_to_nearest
from bertmobile_export.recipes import WeightFormat, read_recipe
from bertmobile_export.targets.onnx.graph import Graph
from bertmobile_export.targets.onnx.narrow import widen
from bertmobile_export.targets.onnx.size import is_narrow, stored_bytes
from bertmobile_export.targets.onnx.target import NARROW
from tests.checkpoints import make_checkpoint

from .models import write_model

FORMATS = [
    *filter(is_narrow, NARROW),
    WeightFormat(4),
    WeightFormat(5),
    WeightFormat(5, "scaled-block", 8),
    WeightFormat(4, "scaled-block", 24),
]


def some_matrix(form: WeightFormat, rows: int, columns: int, seed: int) -> QuantizedMatrix:
    weight = torch.from_numpy(np.random.default_rng(seed).standard_normal((rows, columns), np.float32))
    return round_to_nearest(weight, make_grid(weight, form))


@settings(deadline=None)
@given(
    form=st.sampled_from(FORMATS),
    rows=st.integers(1, 9),
    columns=st.integers(1, 70),
    transposed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_is_packed_is_widened_to_the_same_codes(
    tmp_path_factory: pytest.TempPathFactory,
    form: WeightFormat,
    rows: int,
    columns: int,
    transposed: bool,
    seed: int,
) -> None:
    matrix = some_matrix(form, rows, columns, seed)
    path = tmp_path_factory.mktemp("narrow") / "model.onnx"
    graph = Graph()
    shape = [columns, rows] if transposed else [rows, columns]
    graph.output("codes", widen(graph, "matrix", matrix, transposed=transposed), np.int8, shape)
    graph.write(path, metadata={})
    onnx.checker.check_model(path, full_check=True)
    (found,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {})
    codes = matrix.codes if matrix.multipliers is None else matrix.row_codes()
    np.testing.assert_array_equal(found.T if transposed else found, codes)
    np.testing.assert_allclose(matrix.values(), codes * matrix.scales, rtol=1e-6)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.label)
def test_the_bytes_of_a_narrow_matrix_are_known_beforehand(form: WeightFormat, tmp_path: Path) -> None:
    graph, empty = Graph(), Graph()
    graph.output(
        "codes", widen(graph, "matrix", some_matrix(form, 640, 512, 0), transposed=True), np.int8, []
    )
    graph.write(tmp_path / "full", metadata={})
    empty.write(tmp_path / "empty", metadata={})
    written = (tmp_path / "full").stat().st_size - (tmp_path / "empty").stat().st_size
    scales = 4 * 640
    assert written + scales == pytest.approx(stored_bytes(form, 640, 512), abs=1_500)


def test_a_session_keeps_no_trace_of_the_packing_and_multiplies_integers(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "model", "fill-mask", hidden_size=64)
    checkpoint = load_checkpoint(str(folder), task="fill-mask")
    narrow = {group: WeightFormat(4, "scaled-block", 32) for group in ("embeddings", "encoder")}
    chosen = replace(read_recipe("int8"), weights={**narrow, "head": WeightFormat(5)})
    written = write_model(checkpoint, tmp_path / "model.onnx", chosen)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(written.path, options, providers=["CPUExecutionProvider"])
    operators = {node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node}
    assert operators & {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
    assert not operators & {"BitShift", "BitwiseAnd", "MatMulNBits", "Gemm"}
