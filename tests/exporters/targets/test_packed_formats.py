"""Whatever formats a budget mixes, a target's file holds exactly the codes that the quantizer chose."""

from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bertmobile.engines.mlprogram.weights import unpack_bits
from bertmobile_export.checkpoint import Checkpoint, load_checkpoint
from bertmobile_export.network import build_network
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.recipes import Recipe, WeightFormat, read_recipe
from bertmobile_export.sizes import matrices
from bertmobile_export.targets import get_target
from bertmobile_export.targets.tflite import flatbuffer
from tests.checkpoints import make_checkpoint
from tests.exporters.configs import make_plan
from tests.exports import Exports

from .coreml.packages import some_inputs as coreml_inputs
from .coreml.packages import write_package
from .onnx.models import some_inputs as onnx_inputs
from .onnx.models import write_model

SLOW_TO_MAKE = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
Activations = Literal["float", "dynamic"]
TASKS = st.sampled_from(["fill-mask", "feature-extraction"])
SEEDS = st.integers(0, 2**16)
# Sizes that no block divides, and some that all do.
WIDTHS = st.sampled_from([32, 48, 128])


def source(exports: Exports, task: str, width: int) -> Path:
    def make(folder: Path) -> Path:
        return make_checkpoint(folder / "model", task, hidden_size=width, intermediate_size=2 * width + 32)

    return exports.once(f"packed {task} {width}", make)


def some_recipe(plan: Plan, seed: int, activations: Activations = "dynamic") -> Recipe:
    """A format that the target offers for each matrix."""
    random = np.random.default_rng(seed)
    target = get_target(plan.target)
    modules: dict[str, WeightFormat] = {}
    for name, rows, columns in matrices(plan):
        offered = target.formats(plan, name, rows, columns)
        modules[name] = offered[random.integers(len(offered))]
    mixed = read_recipe("mixed")
    weights = dict.fromkeys(mixed.weights, WeightFormat(8))
    return replace(mixed, weights=weights, modules=modules, budget=None, activations=activations)


def plan_of(checkpoint: Checkpoint, target: str, **more: object) -> Plan:
    plan = make_plan(checkpoint.task, "int4", target=target, config=checkpoint.config, lengths=(24,))
    return replace(plan, **more)  # type: ignore[arg-type]


@settings(max_examples=8, **SLOW_TO_MAKE)  # type: ignore[arg-type]
@given(task=TASKS, width=WIDTHS, seed=SEEDS)
def test_an_onnx_file_computes_what_its_widened_codes_stand_for(
    exports: Exports, tmp_path: Path, task: str, width: int, seed: int
) -> None:
    checkpoint = load_checkpoint(str(source(exports, task, width)), task=task)
    recipe = some_recipe(plan_of(checkpoint, "onnx"), seed, "float")
    written = write_model(checkpoint, tmp_path / "model.onnx", recipe)
    written.assert_equal(onnx_inputs(written.plan, [5, 24, 13], seed=seed), within=2e-4)


@settings(max_examples=12, **SLOW_TO_MAKE)  # type: ignore[arg-type]
@given(task=TASKS, width=WIDTHS, seed=SEEDS)
def test_an_onnx_file_of_blocks_computes_what_its_codes_stand_for(
    exports: Exports, tmp_path: Path, task: str, width: int, seed: int
) -> None:
    checkpoint = load_checkpoint(str(source(exports, task, width)), task=task)
    recipe = some_recipe(plan_of(checkpoint, "onnx", ort=True), seed)
    written = write_model(checkpoint, tmp_path / "model.onnx", recipe)
    # The kernel's own rounding of activations is not what is compared here.
    model = written.model
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = 1
    onnx.save(model, written.path)
    written.assert_equal(onnx_inputs(written.plan, [5, 24, 13], seed=seed), within=2e-4)


@settings(max_examples=8, **SLOW_TO_MAKE)  # type: ignore[arg-type]
@given(task=TASKS, width=WIDTHS, seed=SEEDS, ios=st.sampled_from([16, 18]))
def test_a_core_ml_package_computes_what_its_codes_stand_for(
    exports: Exports, tmp_path: Path, task: str, width: int, seed: int, ios: int
) -> None:
    folder = source(exports, task, width)
    checkpoint = load_checkpoint(str(folder), task=task)
    recipe = some_recipe(plan_of(checkpoint, "coreml", ios=ios), seed)
    path = Path(mkdtemp(dir=tmp_path)) / "model.mlpackage"
    package = write_package(folder, path, task, recipe, ios, (24,))
    inputs = coreml_inputs(package.plan, 24, 15, seed)
    expected = package.expected(inputs)
    for name, values in package.run(inputs).items():
        # Biases and scales are stored in half precision.
        np.testing.assert_allclose(values, expected[name], atol=0.02 * np.abs(expected[name]).max())


@settings(max_examples=3, **SLOW_TO_MAKE)  # type: ignore[arg-type]
@given(task=TASKS, seed=SEEDS)
def test_a_tflite_file_holds_the_codes_and_what_they_stand_for(
    exports: Exports, tmp_path: Path, task: str, seed: int
) -> None:
    checkpoint = load_checkpoint(str(source(exports, task, 128)), task=task)
    plan = plan_of(checkpoint, "tflite")
    plan = replace(plan, recipe=some_recipe(plan, seed))
    network = build_network(checkpoint.config, task, checkpoint.network_state)
    samples = [dict(onnx_inputs(plan, [20], 24, index).items()) for index in range(8)]
    quantize_weights(network, plan.recipe, samples)
    path = tmp_path / "model.tflite"
    get_target("tflite").write(plan, network, samples, path, checkpoint.tokenizer)
    stored = stored_matrices(path)
    for name, matrix in network.codes.items():
        wanted = matrix.values()
        # The converter multiplies a query's weights by the scale of the scores.
        factors = (1.0, network.encoder.layers[0].scale) if name.endswith(".query") else (1.0,)
        assert any(
            np.array_equal(codes, matrix.codes) and np.allclose(values, wanted * factor, rtol=1e-3, atol=0)
            for codes, values in stored
            if codes.shape == wanted.shape
            for factor in factors
        ), name


def stored_matrices(path: Path) -> list[tuple[NDArray[np.int8], NDArray[np.float32]]]:
    """Codes, and what they stand for, of every constant of integers with two dimensions."""
    model = flatbuffer.read(path.read_bytes())
    found = []
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            data, table = flatbuffer.constant(model, tensor), tensor.quantization
            bits = {flatbuffer.schema.TensorType.INT4: 4, flatbuffer.schema.TensorType.INT8: 8}.get(
                tensor.type
            )
            if bits is None or data is None or table is None or len(tensor.shape) != 2:
                continue
            rows, columns = map(int, tensor.shape)
            unsigned = unpack_bits(np.ascontiguousarray(data).view(np.uint8), bits, rows * columns)
            sign = 1 << (bits - 1)
            codes = ((unsigned.astype(np.int16) ^ sign) - sign).astype(np.int8).reshape(rows, columns)
            if table.details is not None:
                scales = flatbuffer.constant(model, subgraph.tensors[table.details.scales])
                assert scales is not None
                each = np.ascontiguousarray(scales).view(np.float16).astype(np.float32).reshape(rows, -1)
                each = np.repeat(each, table.details.blockSize, axis=1)
            else:
                each = np.asarray(table.scale, np.float32)[:, np.newaxis]
            found.append((codes, codes * each))
    return found
