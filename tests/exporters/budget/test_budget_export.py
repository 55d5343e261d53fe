"""A limit is kept by the file that is written, and its recipe can be had again."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bertmobile.errors import UsageError
from bertmobile.manifest import read_manifest
from bertmobile_export.budget.survey import USUAL
from bertmobile_export.cli.export import main
from bertmobile_export.export import Request, Result, export
from bertmobile_export.recipes import keeping, parse_recipe, read_recipe, with_effort, within
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


def test_a_high_effort_keeps_the_limit_and_is_noted_in_the_recipe(exports: Exports, tmp_path: Path) -> None:
    model = str(exports.checkpoint(TASK))
    arguments = ["--target", "onnx", "--model", model, "--output", str(tmp_path), "--untrained"]
    assert main([*arguments, "--max-size", f"{LIMITS['onnx']}B", "--effort", "high"]) == 0
    manifest = read_manifest(next(tmp_path.glob("*.onnx")))
    assert manifest.recipe["effort"] == "high" and manifest.model_bytes <= LIMITS["onnx"]


class Stopped(Exception):
    pass


def test_a_high_effort_that_was_stopped_goes_on_and_leaves_nothing_behind(
    exports: Exports, tmp_path: Path
) -> None:
    recipe = with_effort(within(read_recipe("mixed"), LIMITS["onnx"]), "high")
    request = Request(str(exports.checkpoint(TASK)), "onnx", recipe, output=tmp_path, untrained=True)

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("Rounding weights", 1):
            raise Stopped

    with pytest.raises(Stopped):
        export(request, stop)
    (unfinished,) = tmp_path.iterdir()
    (layer,) = unfinished.rglob("encoder.layers.0.safetensors")
    written = layer.stat().st_mtime_ns
    seen = []

    def note(stage: str, done: int, total: int) -> None:
        if layer.exists():
            seen.append((stage, layer.stat().st_mtime_ns))

    result = export(request, note)
    assert {time for _, time in seen} == {written} and "Rounding weights" in dict(seen)
    assert list(tmp_path.iterdir()) == [result.bundle]
    whole = export(replace(request, output=tmp_path / "whole"))
    assert (whole.bundle / "model.onnx").read_bytes() == (result.bundle / "model.onnx").read_bytes()


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
    assert "expected cosine" in out and "8 bits, nearest" in out and "with the whole bundle" in out
    manifest = json.loads(next(tmp_path.glob("*/manifest.json")).read_text("utf-8"))
    assert manifest["recipe"]["name"] == "mixed-0_1mb"


def test_the_smallest_file_that_keeps_a_cosine_keeps_it_and_is_judged_by_it(
    exports: Exports, tmp_path: Path
) -> None:
    model = str(exports.checkpoint(TASK))
    sizes = []
    for cosine in (0.98, 0.999):
        recipe = keeping(read_recipe("mixed"), cosine)
        result = export(Request(model, "onnx", recipe, output=tmp_path, untrained=True))
        means = [output["cosine_mean"] for output in result.parity["outputs"].values()]
        assert not result.failures and min(means) >= cosine
        assert result.parity["thresholds"]["cosine_mean"] == cosine
        replayed = parse_recipe(read_manifest(result.bundle).recipe, source="manifest")
        assert replayed.budget is None and replayed.parity == {"cosine_mean": cosine}
        sizes.append(result.bytes)
    assert sizes[0] < sizes[1]


def test_a_cosine_that_no_formats_keep_is_refused_and_nothing_is_left(
    exports: Exports, tmp_path: Path
) -> None:
    recipe = keeping(read_recipe("mixed"), 0.9999999)
    request = Request(str(exports.checkpoint(TASK)), "onnx", recipe, output=tmp_path / "out", untrained=True)
    assert "--min-parity" in error_of(UsageError, export, request)
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_plot_is_a_picture_with_a_name_for_each_line(
    exports: Exports, tmp_path: Path, suffix: str
) -> None:
    picture = tmp_path / "new" / f"sizes.{suffix}"
    model = str(exports.checkpoint(TASK))
    arguments = ["--target", "onnx", "--model", model, "--output", str(tmp_path), "--untrained"]
    assert main([*arguments, "--max-size", f"{LIMITS['onnx']}B", "--plot", str(picture)]) == 0
    if suffix == "png":
        assert picture.read_bytes().startswith(b"\x89PNG")
        return
    texts = {node.text for node in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")}
    assert {"onnx, the solver's path (expected)", "model file, MB", "1 - cosine to float32"} <= texts
    assert {f"onnx, {name} (expected)" for name in USUAL} <= texts


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--int8", "--plot", "a.svg"], "--max-size"),
        (["--max-size", "1MB", "--plot", "a.pdf"], ".svg nor a .png"),
        (["--max-size", "1MB", "--min-parity", "0.99"], "more than one recipe"),
        (["--min-parity", "1"], "min-parity"),
        (["--int8", "--effort", "high"], "leave --effort out"),
        (["--min-parity", "0.99", "--dry-run"], "--dry-run"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    model = str(exports.checkpoint(TASK))
    arguments = ["--target", "onnx", "--model", model, "--output", str(tmp_path / "out"), *options]
    assert main(arguments) == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
