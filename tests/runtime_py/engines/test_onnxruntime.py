"""The ONNX Runtime engine: the library's own numbers, any batch and length, and clear errors."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from bertmobile import BundleError, MissingDependencyError, UsageError, load
from bertmobile.engines import Engine, open_engine
from bertmobile.engines.onnxruntime import OnnxRuntimeEngine
from bertmobile.manifest import Manifest, read_manifest
from tests.exports import Exports
from tests.messages import error_of

BUNDLES = [
    ("feature-extraction", "float32", {}),
    ("fill-mask", "int8", {}),
    ("question-answering", "float32", {"portable": True}),
    ("text-classification", "float32", {"ort": True}),
]
Arrays = dict[str, NDArray[Any]]


def inputs_for(manifest: Manifest, length: int, batch: int = 1, seed: int = 0) -> Arrays:
    """Random tokens, the last quarter padding."""
    random = np.random.default_rng(seed)
    attention = np.tile((np.arange(length) < length * 3 // 4).astype(np.int64), (batch, 1))
    ids = random.integers(10, manifest.tokenizer.vocab_size, (batch, length)) * attention
    inputs = {"input_ids": ids, "attention_mask": attention, "token_type_ids": np.zeros_like(ids)}
    if manifest.mask_slots:
        inputs["mask_positions"] = random.integers(0, length // 2, (batch, manifest.mask_slots))
    return inputs


def same(one: Arrays, two: Arrays) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def folder(exports: Exports) -> Path:
    return exports("feature-extraction", target="onnx").bundle


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder)


@pytest.fixture(scope="module")
def engine(folder: Path, manifest: Manifest) -> Iterator[Engine]:
    opened = open_engine(folder, manifest)
    yield opened
    opened.close()


@pytest.mark.parametrize(("task", "recipe", "request_fields"), BUNDLES)
def test_answers_are_those_of_the_library(
    exports: Exports, task: str, recipe: str, request_fields: dict[str, Any]
) -> None:
    folder = exports(task, recipe, target="onnx", **request_fields).bundle
    manifest = read_manifest(folder)
    engine = open_engine(folder, manifest)
    assert isinstance(engine, OnnxRuntimeEngine) and engine.version == onnxruntime.__version__
    session = onnxruntime.InferenceSession(folder / manifest.model_file, providers=["CPUExecutionProvider"])
    assert manifest.dynamic == (not request_fields.get("portable"))
    shapes = [(1, 8), (1, 33), (3, 17)] if manifest.dynamic else [(1, *manifest.lengths)]
    for batch, length in shapes:
        inputs = inputs_for(manifest, length, batch)
        actual = engine.run(inputs)
        assert list(actual) == [spec.name for spec in manifest.outputs]
        for spec, values in zip(manifest.outputs, session.run(list(actual), inputs), strict=True):
            sizes = {"batch": batch, "length": length}
            assert actual[spec.name].shape == tuple(sizes.get(str(size), size) for size in spec.shape)
            assert actual[spec.name].dtype == spec.dtype
            np.testing.assert_allclose(actual[spec.name], values, rtol=0, atol=1e-5)
    engine.close()


def test_more_threads_change_nothing(engine: Engine, folder: Path, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, manifest.lengths[-1])
    wide = open_engine(folder, manifest, threads=2)
    for name, values in engine.run(inputs).items():
        np.testing.assert_allclose(wide.run(inputs)[name], values, rtol=0, atol=1e-5)
    wide.close()


def test_answers_belong_to_the_caller(engine: Engine, manifest: Manifest) -> None:
    first = engine.run(inputs_for(manifest, 9, seed=1))
    kept = {name: values.copy() for name, values in first.items()}
    second = engine.run(inputs_for(manifest, 9, seed=2))
    assert same(first, kept) and not same(first, second)
    for values in first.values():
        values[...] = 0


def test_int32_inputs_and_strided_ones_mean_the_same(engine: Engine, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, 12)
    expected = engine.run(inputs)
    assert same(engine.run({name: values.astype(np.int32) for name, values in inputs.items()}), expected)
    strided = {name: np.repeat(values, 2, axis=1)[:, ::2] for name, values in inputs.items()}
    assert same(engine.run(strided), expected)


def test_a_text_is_not_padded(folder: Path, manifest: Manifest) -> None:
    with load(folder) as model:
        encoded = model.encode("the city of rain")
        assert encoded.inputs["input_ids"].shape == (1, len(encoded))
        assert len(encoded) not in manifest.lengths
        assert model.embed("the city of rain").shape == (1, manifest.embedding.size)


def test_a_portable_bundle_pads_to_its_one_length(exports: Exports) -> None:
    with load(exports("question-answering", target="onnx", portable=True).bundle) as model:
        (length,) = model.manifest.lengths
        assert model.encode("rain").inputs["input_ids"].shape == (1, length)
        message = error_of(UsageError, model.run, inputs_for(model.manifest, length - 1))
        assert str(length - 1) in message and str([length]) in message


def test_a_length_above_the_longest_is_a_usage_error(engine: Engine, manifest: Manifest) -> None:
    longest = manifest.lengths[-1]
    engine.run(inputs_for(manifest, longest))
    message = error_of(UsageError, engine.run, inputs_for(manifest, longest + 1))
    assert str(longest) in message and str(longest + 1) in message


def test_a_missing_an_extra_and_a_misnamed_input_are_usage_errors(engine: Engine, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, 8)
    for name in inputs:
        rest = {key: values for key, values in inputs.items() if key != name}
        assert name in error_of(UsageError, engine.run, rest)
        error_of(UsageError, engine.run, {**rest, "ids": inputs[name]})
    assert "mask_positions" in error_of(
        UsageError, engine.run, {**inputs, "mask_positions": inputs["input_ids"]}
    )
    assert "input_ids" in error_of(UsageError, engine.run, {})


@pytest.mark.parametrize("change", ["longer", "one token", "one axis", "two texts", "a number"])
@pytest.mark.parametrize("name", ["input_ids", "attention_mask", "token_type_ids"])
def test_inputs_that_do_not_fit_each_other_are_usage_errors(
    engine: Engine, manifest: Manifest, name: str, change: str
) -> None:
    """The library itself would broadcast some of them."""
    inputs = inputs_for(manifest, 8)
    values = inputs[name]
    inputs[name] = {
        "longer": np.pad(values, ((0, 0), (0, 1))),
        "one token": values[:, :1],
        "one axis": values[0],
        "two texts": np.vstack([values, values]),
        "a number": values[0, 0],
    }[change]
    message = error_of(UsageError, engine.run, inputs)
    assert "must have shape" in message


def test_mask_positions_of_another_batch_are_a_usage_error(exports: Exports) -> None:
    folder = exports("fill-mask", "int8", target="onnx").bundle
    manifest = read_manifest(folder)
    engine = open_engine(folder, manifest)
    inputs = inputs_for(manifest, 8, batch=2)
    engine.run(inputs)
    for positions in (inputs["mask_positions"][:1], inputs["mask_positions"][:, :3]):
        message = error_of(UsageError, engine.run, {**inputs, "mask_positions": positions})
        assert "mask_positions must have shape [2, 5]" in message
    engine.close()


def test_numbers_that_are_no_ids_are_usage_errors(
    engine: Engine, manifest: Manifest, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = inputs_for(manifest, 8)
    floats = {**inputs, "input_ids": inputs["input_ids"].astype(np.float32)}
    assert "input_ids must be int64" in error_of(UsageError, engine.run, floats)
    beyond = {**inputs, "input_ids": inputs["input_ids"] + manifest.tokenizer.vocab_size}
    assert "vocabulary" in error_of(UsageError, engine.run, beyond)
    assert capfd.readouterr() == ("", "")


def test_after_a_refused_run_the_engine_answers_as_before(engine: Engine, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, 11)
    expected = engine.run(inputs)
    with pytest.raises(UsageError):
        engine.run({**inputs, "token_type_ids": inputs["token_type_ids"][:, :5]})
    assert same(engine.run(inputs), expected)


def test_a_closed_engine_and_a_closed_model_refuse_to_run(folder: Path, manifest: Manifest) -> None:
    engine = open_engine(folder, manifest)
    inputs = inputs_for(manifest, 8)
    engine.run(inputs)
    engine.close()
    engine.close()
    assert "closed" in error_of(UsageError, engine.run, inputs)
    with load(folder) as model:
        model.embed("a word")
    assert "closed" in error_of(UsageError, model.embed, "a word")


def test_threads_that_share_a_model_get_their_own_answers(folder: Path) -> None:
    texts = [
        " ".join(["the city", "warm rain", "people", "a story"][i % 4 :] * (1 + i % 9)) for i in range(24)
    ]
    with load(folder) as model:
        expected = [model.embed(text).tobytes() for text in texts]
        assert len(set(expected)) > 20
        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                assert [vector.tobytes() for vector in pool.map(model.embed, texts)] == expected


def test_closing_while_threads_run_ends_in_answers_or_usage_errors(folder: Path) -> None:
    model = load(folder)
    expected = model.embed("the city").tobytes()

    def work(_: int) -> bytes | None:
        try:
            return model.embed("the city").tobytes()
        except UsageError:
            return None

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(work, i) for i in range(200)]
        model.close()
        assert {result.result() for result in results} <= {expected, None}
    assert work(0) is None


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("ort", [False, True])
def test_a_damaged_model_file_is_a_bundle_error(
    exports: Exports, tmp_path: Path, capfd: pytest.CaptureFixture[str], ort: bool, verify: bool
) -> None:
    folder = exports("text-classification", target="onnx", ort=ort).bundle
    copy = shutil.copytree(folder, tmp_path / folder.name)
    path = copy / read_manifest(copy).model_file
    content = path.read_bytes()
    capfd.readouterr()
    shares = (0, 0.001, 0.1, 0.5, 0.9, 0.999)
    for damaged in (b"not a model", *(content[: int(len(content) * share)] for share in shares)):
        path.write_bytes(damaged)
        message = error_of(BundleError, load, copy, verify=verify)
        assert path.name in message and "export the bundle again" in message
    assert capfd.readouterr() == ("", "")


def test_a_bundle_of_another_target_or_an_unknown_engine_is_a_usage_error(
    folder: Path, manifest: Manifest
) -> None:
    assert "onnxruntime" in error_of(UsageError, open_engine, folder, manifest, engine="tensorrt")
    assert "onnxruntime" in error_of(UsageError, load, folder, engine="litert")


def test_without_the_package_the_error_names_the_extra(
    folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = error_of(MissingDependencyError, open_engine, folder, manifest)
    assert "onnxruntime" in message and "bertmobile[onnx]" in message
    assert MissingDependencyError.exit_code == 4


def test_opening_and_running_writes_nothing_on_stderr(
    folder: Path, manifest: Manifest, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = open_engine(folder, manifest)
    for length in (8, 20):
        engine.run(inputs_for(manifest, length))
    engine.close()
    assert capfd.readouterr() == ("", "")


def test_a_process_that_answers_imports_no_exporter_and_sends_no_telemetry(folder: Path) -> None:
    script = f"""
import os, sys
import bertmobile
with bertmobile.load({str(folder)!r}) as model:
    model.embed("the city")
print(sorted({{"torch", "onnx", "transformers", "bertmobile_export"}} & set(sys.modules)))
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["[]", "1"] and done.stderr == ""
