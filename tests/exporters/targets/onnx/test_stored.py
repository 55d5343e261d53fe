"""What lies in a file: each weight once, as narrow as the recipe says, in operators that the form allows."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import nn

from bertmobile_export.checkpoint import Checkpoint
from bertmobile_export.checkpoint.sentence_transformers import Normalize, SentenceEmbedding
from tests.checkpoints import MODELS

from .models import LONGEST, Written, recipe, some_inputs, write_model

TASKS = list(MODELS)
Write = Callable[..., Written]
FILES: list[tuple[str, bool]] = [
    ("float32", False),
    ("float16", False),
    ("int8", False),
    ("int8-static", False),
    ("float32", True),
    ("float16", True),
    ("int8-static", True),
]


def matrices(file: Written) -> dict[str, np.ndarray]:
    """Weights with two axes: matrices and tables."""
    return {name: values for name, values in file.weights().items() if values.ndim == 2}


@pytest.mark.parametrize(("recipe", "portable"), FILES)
@pytest.mark.parametrize("task", TASKS)
def test_a_file_is_valid_and_its_nodes_are_named_after_modules(
    written: Write, task: str, recipe: str, portable: bool
) -> None:
    file = written(task, recipe, portable=portable, equalised=True)
    model = file.model
    onnx.checker.check_model(model, full_check=True)
    names = [node.name for node in model.graph.node]
    assert all(names) and len(set(names)) == len(names)
    values = [value for node in model.graph.node for value in node.output]
    assert len(set(values)) == len(values)
    assert not set(values) & set(file.weights())
    leaves = (each for each in file.network.named_modules() if not list(each[1].children()))
    modules = {name for name, module in leaves if not isinstance(module, nn.ModuleList)}
    # Dropping a head's layer would drop its name.
    for name in modules - {f"encoder.embeddings.{table}" for table in ("word", "position", "token_type")}:
        assert any(each == name or each.startswith(f"{name}.") for each in names), name


@pytest.mark.parametrize(("recipe", "portable"), FILES)
def test_every_weight_is_used_and_stored_once(written: Write, recipe: str, portable: bool) -> None:
    file = written("fill-mask", recipe, portable=portable)
    used = {name for node in file.model.graph.node for name in node.input}
    weights = file.weights()
    assert set(weights) <= used
    large = [values.tobytes() for values in weights.values() if values.nbytes > 1000]
    assert large and len(set(large)) == len(large)


@pytest.mark.parametrize(("recipe", "portable"), FILES)
def test_the_tied_table_is_stored_once(written: Write, recipe: str, portable: bool) -> None:
    file = written("fill-mask", recipe, portable=portable)
    config = file.plan.config
    shape = (config.vocab_size, config.hidden_size)
    tables = [values for values in file.weights().values() if values.shape in (shape, shape[::-1])]
    assert len(tables) == 1
    assert tables[0].itemsize == {"float32": 4, "float16": 2}.get(recipe, 1)
    # The lookup reads this one, and the decoder, or what prepares it for the decoder.
    (name,) = [name for name, values in file.weights().items() if values.shape == shape]
    readers = [node.op_type for node in file.model.graph.node if name in node.input]
    assert len(readers) == 2 and "Gather" in readers
    untied = written("fill-mask", recipe, portable=portable, bert={"tie_word_embeddings": False})
    assert untied.bytes - file.bytes > 0.95 * tables[0].nbytes


QUANTIZED = [(recipe, portable) for recipe, portable in FILES if recipe.startswith("int8")]


@pytest.mark.parametrize(("recipe", "portable"), QUANTIZED)
@pytest.mark.parametrize("task", TASKS)
def test_no_matrix_is_left_in_floating_point(written: Write, task: str, recipe: str, portable: bool) -> None:
    file = written(task, recipe, portable=portable)
    assert {values.dtype for values in matrices(file).values()} == {np.dtype(np.int8)}
    config = file.plan.config
    floats = [values for values in file.weights().values() if values.dtype.kind == "f"]
    assert max(values.size for values in floats) <= max(config.vocab_size, config.intermediate_size)


def test_the_codes_are_those_of_the_shared_quantizer(written: Write) -> None:
    file = written("fill-mask", "int8")
    stored = list(matrices(file).values())
    assert len(file.network.codes) == len(stored)
    for name, matrix in file.network.codes.items():
        codes = matrix.codes
        assert any(np.array_equal(each, codes) or np.array_equal(each, codes.T) for each in stored), name


def test_float16_is_a_matter_of_matrices_for_the_runtime_and_of_everything_for_phones(
    written: Write,
) -> None:
    runtime, portable = (written("fill-mask", "float16", portable=portable) for portable in (False, True))
    for file in (runtime, portable):
        assert {values.dtype for values in matrices(file).values()} == {np.dtype(np.float16)}
        assert all(
            each.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for each in file.model.graph.output
        )
    vectors = [values.dtype for values in runtime.weights().values() if values.ndim == 1]
    assert np.dtype(np.float32) in vectors and np.dtype(np.float16) not in vectors
    assert not [name for name, values in portable.weights().items() if values.dtype == np.float32]
    inferred = onnx.shape_inference.infer_shapes(portable.model, strict_mode=True)
    outputs = {each.name for each in inferred.graph.output}
    assert not [
        each.name
        for each in inferred.graph.value_info
        if each.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and each.name not in outputs
    ]


@pytest.mark.parametrize("full_logits", [False, True])
@pytest.mark.parametrize("recipe", ["float32", "float16", "int8-static"])
@pytest.mark.parametrize("task", TASKS)
def test_a_portable_file_has_standard_operators_and_fixed_shapes(
    written: Write, task: str, recipe: str, full_logits: bool
) -> None:
    file = written(
        task,
        recipe,
        portable=True,
        full_logits=full_logits,
        embedding=SentenceEmbedding(steps=(Normalize(),)),
    )
    model = file.model
    assert {node.domain for node in model.graph.node} == {""}
    assert [each.domain for each in model.opset_import] == [""]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {
        each.name: [size.dim_value for size in each.type.tensor_type.shape.dim]
        for each in [*inferred.input, *inferred.output, *inferred.value_info]
    }
    for node in inferred.node:
        for value in node.output:
            assert all(shapes[value]), (value, shapes[value])


@pytest.mark.parametrize("portable", [False, True])
def test_every_layer_has_declared_shapes_too(written: Write, portable: bool) -> None:
    file = written("fill-mask", portable=portable, every_layer=True)
    declared = {
        each.name: [size.dim_value or size.dim_param for size in each.type.tensor_type.shape.dim]
        for each in file.model.graph.output
    }
    batch, length = (1, LONGEST) if portable else ("batch", "length")
    hidden = file.plan.config.hidden_size
    assert declared["embeddings"] == declared["layer_0"] == [batch, length, hidden]
    assert declared["layer_1"] == [batch, file.plan.mask_slots, hidden]


@pytest.mark.parametrize("portable", [False, True])
def test_static_activations_are_standard_pairs_with_constant_parameters(
    written: Write, portable: bool
) -> None:
    file = written("fill-mask", "int8-static", portable=portable)
    graph, weights = file.model.graph, file.weights()
    quantized = {node.output[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    dequantized = [node for node in graph.node if node.op_type == "DequantizeLinear"]
    for node in [*quantized.values(), *dequantized]:
        assert node.domain == "" and all(name in weights for name in node.input[1:])
    pairs = {node.input[0] for node in dequantized} & quantized.keys()
    assert pairs == quantized.keys()
    products = [node for node in graph.node if node.op_type == "Gemm"]
    linears = [each for each in file.network.modules() if isinstance(each, nn.Linear)]
    assert len(products) == len(linears)
    made = {node.output[0]: node.op_type for node in graph.node}
    for node in products:
        assert {made[name] for name in node.input} == {"DequantizeLinear"}, node.name


def test_dynamic_activations_are_quantized_once_for_all_that_read_them(written: Write) -> None:
    kinds = written("fill-mask", "int8").kinds()
    # Two layers: six products each, but query, key and value share an input where all rows are asked for.
    assert kinds["MatMulIntegerToFloat"] == 2 * 6 + 1
    assert kinds["QGemm"] == 1
    assert kinds["DynamicQuantizeLinear"] == 4 + 5 + 2
    assert not kinds["Gemm"]


WIDTHS = [(16, 8, 32), (32, 8, 16), (8, 8, 16), (8, 32, 8), (16, 32, 16)]
MIXED = [
    (widths, activations, portable)
    for widths in WIDTHS
    for activations in ("float", "dynamic", "static")
    for portable in (False, True)
    if activations == "float" or (widths[1] == 8 and not (portable and activations == "dynamic"))
]


@pytest.mark.parametrize(("widths", "activations", "portable"), MIXED)
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_recipes_of_ones_own_mix_widths(
    written: Write, widths: tuple[int, int, int], granularity: str, activations: str, portable: bool
) -> None:
    file = written("fill-mask", recipe(*widths, activations, granularity=granularity), portable=portable)
    onnx.checker.check_model(file.model, full_check=True)
    assert min(file.cosines(some_inputs(file.plan, [15], LONGEST))) > 0.95


@pytest.mark.parametrize("recipe", ["float32", "int8", "int8-static"])
def test_two_files_of_one_checkpoint_are_identical(
    checkpoint: Callable[..., Checkpoint], tmp_path: Path, recipe: str
) -> None:
    source = checkpoint("fill-mask")
    one, two = (write_model(source, tmp_path / name, recipe) for name in ("one.onnx", "two.onnx"))
    assert one.path.read_bytes() == two.path.read_bytes()


def test_another_process_writes_identical_files(
    checkpoint: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    source = checkpoint("fill-mask")
    script = """
import sys
from pathlib import Path
import torch
from bertmobile_export.checkpoint import load_checkpoint
from tests.exporters.targets.onnx.models import write_model
torch.set_num_threads(1)
source, folder = sys.argv[1:]
for recipe in ("int8", "int8-static"):
    write_model(load_checkpoint(source, task="fill-mask"), Path(folder) / recipe, recipe)
"""
    subprocess.run(
        [sys.executable, "-c", script, str(source.location.folder), str(tmp_path)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[4],
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    for name in ("int8", "int8-static"):
        here = write_model(source, tmp_path / "here", name)
        assert here.path.read_bytes() == (tmp_path / name).read_bytes()
