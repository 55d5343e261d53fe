"""Layer by layer: the last rows say what parity says, for every option that a bundle can be made with."""

from pathlib import Path
from typing import Any

import pytest

from bertmobile.manifest import read_manifest
from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.checkpoint.config import TASKS
from bertmobile_export.export import Result
from bertmobile_export.parity.check import Check
from bertmobile_export.plan import Plan
from bertmobile_export.texts import TextSet
from tests.exports import Exports

DEEP = {"num_hidden_layers": 2}
# (task, recipe, target, options): ONNX is quick to convert, so it stands for what all targets share.
QUICK: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("fill-mask", "int8", "onnx", {}),
    ("feature-extraction", "int8", "onnx", {}),
    ("text-classification", "int8", "onnx", {"ort": True}),
    ("text-classification", "float16", "coreml", {"ios": 16}),
)
SLOW: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    *((task, "int8", "onnx", {}) for task in TASKS if task not in ("fill-mask", "feature-extraction")),
    ("fill-mask", "int8", "onnx", {"ort": True, "full_logits": True, "lengths": (16, 32)}),
    ("text-classification", "float32", "onnx", {"portable": True, "full_logits": True}),
    ("fill-mask", "float16", "coreml", {}),
    ("fill-mask", "int8-static", "onnx", {"portable": True, "lengths": (32,)}),
    ("fill-mask", "int4", "onnx", {"ort": True}),
    ("feature-extraction", "int8-static", "onnx", {}),
    ("text-classification", "int8-static", "coreml", {"ios": 17}),
    ("feature-extraction", "int8-static", "coreml", {}),
    ("token-classification", "int8", "coreml", {}),
    ("text-classification", "int8", "tflite", {"mediapipe": True}),
    ("feature-extraction", "float32", "tflite", {"mediapipe": True, "lengths": (32,)}),
    ("question-answering", "int8", "tflite", {}),
    ("fill-mask", "int8-static", "tflite", {"full_logits": True}),
)
CASES = (*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW))


def made(exports: Exports, task: str, recipe: str, target: str, options: dict[str, Any]) -> Result:
    return exports(task, recipe, target=target, checkpoint=DEEP, **options)


def checked(exports: Exports, bundle: Path, task: str) -> tuple[Check, TextSet]:
    check = Check.open(bundle, str(exports.checkpoint(task, **DEEP)))
    return check, check.texts(None)


def quietly(stage: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize(("task", "recipe", "target", "options"), CASES)
def test_a_plan_made_from_a_manifest_is_the_one_that_the_bundle_was_made_by(
    exports: Exports, task: str, recipe: str, target: str, options: dict[str, Any]
) -> None:
    result = made(exports, task, recipe, target, options)
    config = load_checkpoint(str(exports.checkpoint(task, **DEEP)), task=task).config
    assert Plan.from_manifest(read_manifest(result.bundle), config) == result.plan


@pytest.mark.parametrize(("task", "recipe", "target", "options"), CASES)
def test_the_head_has_the_numbers_that_parity_found(
    exports: Exports, task: str, recipe: str, target: str, options: dict[str, Any]
) -> None:
    check, texts = checked(exports, made(exports, task, recipe, target, options).bundle, task)
    outputs = check.compare(texts, engine=None, progress=quietly).document["outputs"]
    layers = check.layers(texts, engine=None, progress=quietly)
    names = [layer.name for layer in layers]
    states = ["embeddings", "layer_0", *(["layer_1"] if task != "feature-extraction" else [])]
    assert names == [*states, *outputs]
    for layer in layers:
        assert layer.cosine_min <= layer.cosine_mean <= 1
        if layer.name in outputs:
            # The same texts through the same weights; that layers are shown may change how a graph is fused.
            assert layer.cosine_mean == pytest.approx(outputs[layer.name]["cosine_mean"], abs=1e-4)
            assert layer.cosine_min == pytest.approx(outputs[layer.name]["cosine_min"], abs=1e-3)


def test_layers_are_compared_on_the_users_texts(exports: Exports, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("the cat came home\nit was a good day\n", encoding="utf-8")
    task = "feature-extraction"
    check, _ = checked(exports, made(exports, task, "int8", "onnx", {}).bundle, task)
    texts = check.texts(file)
    outputs = check.compare(texts, engine=None, progress=quietly).document["outputs"]
    *_, head = check.layers(texts, engine=None, progress=quietly)
    assert texts.source == "file"
    assert head.cosine_mean == pytest.approx(outputs["sentence_embedding"]["cosine_mean"], abs=1e-4)
