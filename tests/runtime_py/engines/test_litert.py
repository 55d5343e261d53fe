"""The LiteRT engine: the same numbers as LiteRT's plain interpreter, and clear errors."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from bertmobile import BundleError, UsageError, load
from bertmobile.engines import Engine, open_engine
from bertmobile.engines.litert import LiteRtEngine
from bertmobile.manifest import Manifest, read_manifest
from tests.exports import Exports
from tests.messages import error_of

BUNDLES = [
    ("feature-extraction", "float32"),
    ("fill-mask", "float32"),
    ("fill-mask", "int8"),
    ("question-answering", "float32"),
]
Arrays = dict[str, NDArray[Any]]


def inputs_for(manifest: Manifest, length: int, seed: int = 0) -> Arrays:
    """Random tokens, the last quarter padding."""
    random = np.random.default_rng(seed)
    attention = (np.arange(length) < length * 3 // 4).astype(np.int32)[None]
    ids = random.integers(10, manifest.tokenizer.vocab_size, (1, length), dtype=np.int32) * attention
    inputs = {"input_ids": ids, "attention_mask": attention, "token_type_ids": np.zeros_like(ids)}
    if manifest.mask_slots:
        inputs["mask_positions"] = random.integers(0, length // 2, (1, manifest.mask_slots), dtype=np.int32)
    return inputs


def same(one: Arrays, two: Arrays) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def folder(exports: Exports) -> Path:
    return exports("feature-extraction").bundle


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder)


@pytest.fixture(scope="module")
def engine(folder: Path, manifest: Manifest) -> Iterator[Engine]:
    opened = open_engine(folder, manifest)
    yield opened
    opened.close()


@pytest.mark.parametrize(("task", "recipe"), BUNDLES)
def test_answers_are_those_of_the_plain_interpreter_in_every_bucket(
    exports: Exports, task: str, recipe: str
) -> None:
    folder = exports(task, recipe).bundle
    manifest = read_manifest(folder)
    engine = open_engine(folder, manifest)
    assert isinstance(engine, LiteRtEngine) and len(manifest.lengths) > 1
    interpreter = Interpreter(str(folder / manifest.model_file))
    for length in manifest.lengths:
        runner = interpreter.get_signature_runner(manifest.signatures[length])
        for seed in range(3):
            inputs = inputs_for(manifest, length, seed)
            actual, expected = engine.run(inputs), runner(**inputs)
            assert actual.keys() == expected.keys() == {spec.name for spec in manifest.outputs}
            for name, values in expected.items():
                assert actual[name].dtype == values.dtype == np.float32
                assert actual[name].shape == values.shape
                np.testing.assert_allclose(actual[name], values, rtol=0, atol=1e-5)
    engine.close()


def test_shapes_and_types_are_those_of_the_manifest(engine: Engine, manifest: Manifest) -> None:
    for length in manifest.lengths:
        outputs = engine.run(inputs_for(manifest, length))
        for spec in manifest.outputs:
            assert outputs[spec.name].shape == tuple(length if n == "length" else n for n in spec.shape)
            assert outputs[spec.name].dtype == spec.dtype


def test_more_threads_change_nothing(engine: Engine, folder: Path, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, manifest.lengths[-1])
    wide = open_engine(folder, manifest, threads=2)
    for name, values in engine.run(inputs).items():
        np.testing.assert_allclose(wide.run(inputs)[name], values, rtol=0, atol=1e-5)
    wide.close()


def test_answers_belong_to_the_caller(engine: Engine, manifest: Manifest) -> None:
    """The next run, which reuses the buffers, must not change them."""
    first = engine.run(inputs_for(manifest, manifest.lengths[0], 1))
    kept = {name: values.copy() for name, values in first.items()}
    second = engine.run(inputs_for(manifest, manifest.lengths[0], 2))
    assert same(first, kept) and not same(first, second)
    for values in first.values():
        values[...] = 0


def test_int64_inputs_and_strided_ones_mean_the_same(engine: Engine, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, manifest.lengths[0])
    expected = engine.run(inputs)
    assert same(engine.run({name: values.astype(np.int64) for name, values in inputs.items()}), expected)
    assert same(engine.run({name: np.asfortranarray(np.repeat(values, 2, 1))[:, ::2]
                            for name, values in inputs.items()}), expected)  # fmt: skip


def test_an_unknown_bucket_is_a_usage_error_that_lists_the_known(engine: Engine, manifest: Manifest) -> None:
    message = error_of(UsageError, engine.run, inputs_for(manifest, 33))
    assert "33" in message and str(list(manifest.lengths)) in message


def test_a_missing_an_extra_and_a_misnamed_input_are_usage_errors(engine: Engine, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, manifest.lengths[0])
    for name in inputs:
        rest = {key: values for key, values in inputs.items() if key != name}
        assert name in error_of(UsageError, engine.run, rest)
        error_of(UsageError, engine.run, {**rest, "ids": inputs[name]})
    assert "mask_positions" in error_of(
        UsageError, engine.run, {**inputs, "mask_positions": inputs["input_ids"]}
    )
    assert "input_ids" in error_of(UsageError, engine.run, {})


@pytest.mark.parametrize("change", ["longer", "one axis", "two texts", "a number"])
@pytest.mark.parametrize("name", ["input_ids", "attention_mask", "token_type_ids"])
def test_a_wrong_shape_is_a_usage_error_that_names_the_input(
    engine: Engine, manifest: Manifest, name: str, change: str
) -> None:
    inputs = inputs_for(manifest, manifest.lengths[0])
    values = inputs[name]
    inputs[name] = {
        "longer": np.pad(values, ((0, 0), (0, 1))),
        "one axis": values[0],
        "two texts": np.vstack([values, values]),
        "a number": values[0, 0],
    }[change]
    message = error_of(UsageError, engine.run, inputs)
    assert name in message or (name == "input_ids" and "bucket" in message)


def test_after_a_refused_run_the_engine_answers_as_before(engine: Engine, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, manifest.lengths[0])
    expected = engine.run(inputs)
    with pytest.raises(UsageError):
        engine.run({**inputs, "token_type_ids": inputs["token_type_ids"][:, :5]})
    assert same(engine.run(inputs), expected)


def test_a_closed_engine_and_a_closed_model_refuse_to_run(folder: Path, manifest: Manifest) -> None:
    engine = open_engine(folder, manifest)
    inputs = inputs_for(manifest, manifest.lengths[0])
    engine.run(inputs)
    engine.close()
    engine.close()
    assert "closed" in error_of(UsageError, engine.run, inputs)
    with load(folder) as model:
        model.embed("a word")
    assert "closed" in error_of(UsageError, model.embed, "a word")


def test_closing_one_engine_leaves_another_alone(folder: Path, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, manifest.lengths[0])
    one, two = open_engine(folder, manifest), open_engine(folder, manifest)
    expected = one.run(inputs)
    two.run(inputs)
    one.close()
    assert same(two.run(inputs), expected)
    two.close()


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


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_model_file_is_a_bundle_error(folder: Path, tmp_path: Path, share: float) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    path = copy / "model.tflite"
    os.truncate(path, int(path.stat().st_size * share))
    assert "model.tflite" in error_of(BundleError, load, copy)


def test_a_file_that_is_no_model_is_a_bundle_error_even_unverified(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    for content in (b"", b"not a model"):
        (copy / "model.tflite").write_bytes(content)
        assert "model.tflite" in error_of(BundleError, load, copy, verify=False)


def test_a_bundle_of_another_target_or_an_unknown_engine_is_a_usage_error(
    folder: Path, manifest: Manifest
) -> None:
    assert "litert" in error_of(UsageError, open_engine, folder, manifest, engine="tensorrt")
    assert "onnxruntime" in error_of(UsageError, load, folder, engine="onnxruntime")


def test_opening_and_running_writes_nothing_on_stderr(
    folder: Path, manifest: Manifest, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = open_engine(folder, manifest)
    for length in manifest.lengths:
        engine.run(inputs_for(manifest, length))
    engine.close()
    assert capfd.readouterr() == ("", "")


def test_numbers_that_are_no_ids_are_a_usage_error(engine: Engine, manifest: Manifest) -> None:
    inputs = inputs_for(manifest, manifest.lengths[0])
    inputs["input_ids"] = inputs["input_ids"].astype(np.float32)
    assert "input_ids" in error_of(UsageError, engine.run, inputs)
