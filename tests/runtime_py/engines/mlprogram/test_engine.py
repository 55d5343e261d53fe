"""A whole BERT through the engine gives our network's answers; wrong inputs are named."""

import dataclasses
import gc
import warnings
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from bertmobile import BundleError, UsageError
from bertmobile.engines import Engine, open_engine
from bertmobile.engines.mlprogram import read_package
from bertmobile.manifest import Manifest
from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.network import Network, build_network
from tests.checkpoints import make_checkpoint
from tests.messages import error_of
from tests.runtime_py.helpers import make_manifest

from .programs import ct, mb, types

Arrays = dict[str, NDArray[Any]]
TOLERANCE = 1e-5
HALF_TOLERANCE = 0.02
LENGTH = 24
MODEL = "model.mlpackage"
FP32 = "mlprogram-evaluator-fp32"
ROUNDING = "mlprogram-evaluator"
# Between them they have every head's operators; the exporter's tests go through all tasks.
TASKS = ("fill-mask", "feature-extraction", "text-classification")


class Converted(nn.Module):
    """The network with its inputs by position, as torch.export wants them."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network(*inputs).values())


def inputs_for(manifest: Manifest, length: int, seed: int = 0) -> Arrays:
    """Random tokens, the last quarter padding."""
    random = np.random.default_rng(seed)
    attention = (np.arange(length) < length * 3 // 4).astype(np.int32)[None]
    ids = random.integers(10, 200, (1, length), dtype=np.int32) * attention
    inputs = {"input_ids": ids, "attention_mask": attention, "token_type_ids": attention * (ids % 2)}
    if manifest.mask_slots:
        inputs["mask_positions"] = random.integers(0, length // 2, (1, manifest.mask_slots), dtype=np.int32)
    return inputs


def manifest_for(task: str, lengths: tuple[int, ...] = (LENGTH,)) -> Manifest:
    manifest = make_manifest(
        task,
        labels=("a", "b") if "classification" in task else (),
        mask_slots=5 if task == "fill-mask" else None,
        lengths=lengths,
    )
    return dataclasses.replace(manifest, target="coreml", model_file=MODEL)


def convert(network: Network, manifest: Manifest, precision: Any, path: Path) -> None:
    """By coremltools' own road from PyTorch, with all its passes."""
    inputs = inputs_for(manifest, LENGTH)
    shaped = [ct.TensorType(name=name, shape=array.shape, dtype=np.int32) for name, array in inputs.items()]
    gc.freeze()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.export.export(
                Converted(network).eval(), tuple(torch.from_numpy(array) for array in inputs.values())
            )
            model = ct.convert(
                traced.run_decompositions({}),
                inputs=shaped,
                outputs=[ct.TensorType(name=spec.name, dtype=np.float32) for spec in manifest.outputs],
                convert_to="mlprogram",
                minimum_deployment_target=ct.target.iOS18,
                compute_precision=precision,
                skip_model_load=True,
            )
    finally:
        gc.unfreeze()
    model.save(str(path))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(task, precision) -> folder with the package, and the network."""

    @cache
    def make(task: str, precision: Any = ct.precision.FLOAT32) -> tuple[Path, Network]:
        folder = tmp_path_factory.mktemp(task)
        checkpoint = load_checkpoint(
            str(make_checkpoint(folder / "checkpoint", task, num_hidden_layers=1)), task=task
        )
        network = build_network(checkpoint.config, task, checkpoint.network_state)
        convert(network, manifest_for(task), precision, folder / MODEL)
        return folder, network

    return make


def compare(engine: Engine, manifest: Manifest, network: Network) -> float:
    """The largest difference of any output on several texts."""
    worst = 0.0
    for seed in range(4):
        inputs = inputs_for(manifest, LENGTH, seed)
        with torch.inference_mode():
            expected = network(*(torch.from_numpy(array) for array in inputs.values()))
        found = engine.run(inputs)
        assert found.keys() == expected.keys() == {spec.name for spec in manifest.outputs}
        for name, wanted in expected.items():
            assert found[name].dtype == np.float32 and found[name].shape == tuple(wanted.shape)
            assert wanted.abs().max() > 0.1
            worst = max(worst, float(np.abs(found[name] - wanted.numpy()).max()))
    return worst


@pytest.mark.parametrize("task", TASKS)
def test_float32_answers_are_the_networks(bundles: Any, task: str) -> None:
    folder, network = bundles(task)
    manifest = manifest_for(task)
    for name in (FP32, ROUNDING):
        engine = open_engine(folder, manifest, engine=name)
        assert engine.name == name and engine.version == version("coremltools")
        assert compare(engine, manifest, network) < TOLERANCE


def test_a_float16_program_differs_by_its_weights_and_more_by_rounding(bundles: Any) -> None:
    folder, network = bundles("fill-mask", ct.precision.FLOAT16)
    manifest = manifest_for("fill-mask")
    plain = compare(open_engine(folder, manifest, engine=FP32), manifest, network)
    rounded = compare(open_engine(folder, manifest, engine=ROUNDING), manifest, network)
    assert TOLERANCE < plain < rounded < HALF_TOLERANCE


def test_the_evaluator_is_the_default_off_macos(bundles: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = bundles("fill-mask")
    monkeypatch.setattr("sys.platform", "linux")
    assert open_engine(folder, manifest_for("fill-mask")).name == ROUNDING


def test_one_program_serves_several_lengths(tmp_path: Path) -> None:
    """Enumerated lengths leave the program's own sizes open."""
    lengths = (8, 16)
    placeholders = {
        name: mb.placeholder(shape=(1, ct.converters.mil.mil.get_new_symbol()), dtype=types.int32)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    }
    table = np.arange(60, dtype=np.float32).reshape(20, 3)
    with ct.converters.mil.mil.Function(placeholders, opset_version=ct.target.iOS18) as function:
        given = function.inputs
        rows = mb.gather(x=table, indices=given["input_ids"], axis=0)
        keep = mb.expand_dims(x=mb.cast(x=given["attention_mask"], dtype="fp32"), axes=[2])
        types_ = mb.expand_dims(x=mb.cast(x=given["token_type_ids"], dtype="fp32"), axes=[2])
        states = mb.mul(x=mb.add(x=rows, y=types_), y=keep, name="last_hidden_state")
        function.set_outputs([states, mb.reduce_sum(x=states, axes=[1], name="sentence_embedding")])
    program = ct.converters.mil.mil.Program()
    program.add_function("main", function)
    shapes = ct.EnumeratedShapes([[1, length] for length in lengths], default=[1, 16])
    ct.convert(
        program,
        inputs=[ct.TensorType(name=name, shape=shapes, dtype=np.int32) for name in placeholders],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
    ).save(str(tmp_path / MODEL))
    assert read_package(tmp_path / MODEL).inputs[0].shape == (1, None)
    manifest = manifest_for("feature-extraction", lengths)
    engine = open_engine(tmp_path, manifest)
    for length in lengths:
        inputs = inputs_for(manifest, length)
        inputs["input_ids"] %= 20
        states = (table[inputs["input_ids"]] + inputs["token_type_ids"][..., None]) * inputs[
            "attention_mask"
        ][..., None]
        outputs = engine.run(inputs)
        np.testing.assert_array_equal(outputs["last_hidden_state"], states)
        np.testing.assert_array_equal(outputs["sentence_embedding"], states.sum(1))
    inputs["attention_mask"] = inputs["attention_mask"][:, :8]
    message = error_of(UsageError, engine.run, inputs)
    assert "attention_mask must have shape (1, 16), not (1, 8)" in message


def test_inputs_that_do_not_fit_are_refused(bundles: Any) -> None:
    folder, _ = bundles("fill-mask")
    manifest = manifest_for("fill-mask")
    engine = open_engine(folder, manifest)
    good = inputs_for(manifest, LENGTH)
    cases = [
        ({**good, "input_ids": good["input_ids"][0]}, "input_ids [1, length] is missing"),
        ({name: array for name, array in good.items() if name != "input_ids"}, "input_ids [1, length]"),
        (inputs_for(manifest, LENGTH + 1), f"no bucket of {LENGTH + 1} tokens; this bundle has [{LENGTH}]"),
        ({**good, "mask_positions": np.zeros((1, 4), np.int32)}, "mask_positions must have shape (1, 5)"),
        ({name: array for name, array in good.items() if name != "token_type_ids"}, "takes the inputs"),
        ({**good, "input_ids": good["input_ids"].astype(np.float32)}, "input_ids must be int32, not float32"),
        ({**good, "input_ids": good["input_ids"] + 10**6}, "outside of its table"),
    ]
    for inputs, complaint in cases:
        assert complaint in error_of(UsageError, engine.run, inputs)
    assert engine.run(good)["logits"].shape[1] == 5


def test_int64_inputs_are_taken_too(bundles: Any) -> None:
    folder, _ = bundles("fill-mask")
    manifest = manifest_for("fill-mask")
    engine = open_engine(folder, manifest)
    inputs = inputs_for(manifest, LENGTH)
    wide = {name: array.astype(np.int64) for name, array in inputs.items()}
    np.testing.assert_array_equal(engine.run(wide)["logits"], engine.run(inputs)["logits"])


def test_a_closed_engine_says_so(bundles: Any) -> None:
    folder, _ = bundles("fill-mask")
    manifest = manifest_for("fill-mask")
    engine = open_engine(folder, manifest)
    engine.close()
    engine.close()
    assert "is closed" in error_of(UsageError, engine.run, inputs_for(manifest, LENGTH))


def test_a_bundle_without_its_package_is_damaged(tmp_path: Path) -> None:
    message = error_of(BundleError, open_engine, tmp_path, manifest_for("fill-mask"))
    assert f"{MODEL} is missing" in message
