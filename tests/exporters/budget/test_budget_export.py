"""A limit is kept by the file that is written, and its recipe can be had again."""

import json
from pathlib import Path

import pytest

from bertmobile.errors import UsageError
from bertmobile.manifest import read_manifest
from bertmobile_export.cli.export import main
from bertmobile_export.export import Request, Result, export
from bertmobile_export.recipes import parse_recipe, read_recipe, within
from tests.checkpoints import make_checkpoint
from tests.exports import Exports
from tests.messages import error_of

TASK = "feature-extraction"
# Of the tiny checkpoint; between what all matrices at 4 bits and at 8 bits take.
LIMITS = {"onnx": 68_000, "coreml": 80_000}


def make(exports: Exports, target: str, folder: Path) -> Result:
    recipe = within(read_recipe("mixed"), LIMITS[target])
    model = str(exports.checkpoint(TASK))
    return export(Request(model, target, recipe, output=folder, untrained=True))


@pytest.mark.parametrize("target", LIMITS)
def test_the_file_keeps_within_its_limit_and_uses_it(exports: Exports, tmp_path: Path, target: str) -> None:
    result = make(exports, target, tmp_path)
    assert 0.8 * LIMITS[target] < result.bytes <= LIMITS[target]
    manifest = read_manifest(result.bundle)
    assert manifest.model_bytes == result.bytes
    assert "budget" not in manifest.recipe
    assert {form["bits"] for form in manifest.recipe["modules"].values()} > {8}
    assert result.survey is not None
    assert result.survey.choices.keys() == manifest.recipe["modules"].keys()


def test_the_recipe_of_a_bundle_makes_the_same_file_again(exports: Exports, tmp_path: Path) -> None:
    first = make(exports, "onnx", tmp_path / "first")
    replayed = parse_recipe(read_manifest(first.bundle).recipe, source="manifest")
    model = str(exports.checkpoint(TASK))
    again = export(Request(model, "onnx", replayed, output=tmp_path / "again", untrained=True))
    assert (first.bundle / "model.onnx").read_bytes() == (again.bundle / "model.onnx").read_bytes()


def test_an_impossible_limit_names_the_smallest_size_and_leaves_nothing(
    exports: Exports, tmp_path: Path
) -> None:
    recipe = within(read_recipe("mixed"), 20_000)
    request = Request(str(exports.checkpoint(TASK)), "onnx", recipe, output=tmp_path / "out")
    message = error_of(UsageError, export, request)
    assert "0.0 MB" in message and "--max-size" in message
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_names_other_matrices_is_refused(exports: Exports, tmp_path: Path) -> None:
    document = {**read_recipe("int8").document, "modules": {"encoder.layers.99.query": {"bits": 8}}}
    recipe = parse_recipe({**document, "name": "own"}, source="own")
    request = Request(str(exports.checkpoint(TASK)), "onnx", recipe, output=tmp_path)
    assert "encoder.layers.99.query" in error_of(UsageError, export, request)


@pytest.mark.parametrize("size", ["25 apples", "MB", "-3MB", "0"])
def test_sizes_that_are_none_are_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "onnx", "--max-size", size]) == 2
    assert "25MB" in capsys.readouterr().err


def test_a_limit_goes_with_no_other_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "onnx", "--max-size", "25MB", "--int8"]) == 2
    assert "--max-size" in capsys.readouterr().err


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = make_checkpoint(tmp_path / "source", TASK)
    path = folder / "model.safetensors"
    state = load_file(path)
    name = next(key for key in state if key.endswith("layer.1.output.dense.weight"))
    state[name] = state[name].clone()
    state[name][0, 0] = torch.nan
    save_file(state, path, metadata={"format": "pt"})
    assert main(["--target", "onnx", "--int4", "--model", str(folder), "--output", str(tmp_path)]) == 1


def test_the_table_says_what_the_limit_cost(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(exports.checkpoint(TASK))
    given = ["--target", "onnx", "--max-size", "110kB", "--untrained", "--output", str(tmp_path)]
    assert main(["--model", model, *given]) == 0
    out = capsys.readouterr().out
    assert "expected cosine" in out and "finest format (8 bits)" in out
    manifest = json.loads(next(tmp_path.glob("*/manifest.json")).read_text("utf-8"))
    assert manifest["recipe"]["name"] == "mixed-0_1mb"
