"""A limit is kept by the file that is written, and its recipe can be had again."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bertmobile.errors import UsageError
from bertmobile.manifest import read_manifest
from bertmobile_export.budget.bounds import CosineBound, kept_cosine
from bertmobile_export.budget.solve import loss
from bertmobile_export.budget.survey import USUAL
from bertmobile_export.cli import export as command_module
from bertmobile_export.cli.export import main
from bertmobile_export.cli.parity import main as parity_main
from bertmobile_export.export import Request, Result, export
from bertmobile_export.recipes import (
    Budget,
    flipping,
    keeping,
    parse_recipe,
    read_recipe,
    with_effort,
    within,
)
from tests.checkpoints import make_checkpoint
from tests.exports import Exports
from tests.messages import error_of

TASK = "feature-extraction"
CLASSIFIER = "text-classification"
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
    assert "8 bits, nearest (expected)" in out and "with the whole bundle" in out
    (row,) = [line for line in out.splitlines() if line.startswith("this file (measured)")]
    manifest = json.loads(next(tmp_path.glob("*/manifest.json")).read_text("utf-8"))
    assert manifest["recipe"]["name"] == "mixed-0_1mb"
    parity = json.loads(next(tmp_path.glob("*/parity.json")).read_text("utf-8"))
    assert row.split()[-1] == f"{kept_cosine(parity):.5f}"


def test_the_smallest_file_that_keeps_a_cosine_keeps_it_and_is_judged_by_it(
    exports: Exports, tmp_path: Path
) -> None:
    model = str(exports.checkpoint(TASK))
    sizes = []
    for cosine in (0.98, 0.999):
        recipe = keeping(read_recipe("mixed"), cosine)
        result = export(Request(model, "onnx", recipe, output=tmp_path, untrained=True))
        assert not result.failures and kept_cosine(result.parity) >= cosine
        assert result.parity["thresholds"]["cosine_mean"] == cosine
        replayed = parse_recipe(read_manifest(result.bundle).recipe, source="manifest")
        assert replayed.budget is None and replayed.parity == {"cosine_mean": cosine}
        sizes.append(result.bytes)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("off", [0.05, 20])
def test_a_search_that_starts_far_off_ends_at_the_same_size(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    """In both directions: a file with slack is followed by a smaller one."""
    request = Request(
        str(exports.checkpoint(TASK)), "onnx", keeping(read_recipe("mixed"), 0.99), output=tmp_path,
        untrained=True,
    )  # fmt: skip
    near = export(request).bytes
    first = CosineBound.first
    monkeypatch.setattr(CosineBound, "first", lambda self: off * first(self))
    assert abs(export(replace(request, overwrite=True)).bytes - near) < 0.03 * near


def test_one_step_less_than_the_smallest_file_breaks_the_bound(exports: Exports, tmp_path: Path) -> None:
    cosine, model = 0.9999, str(exports.checkpoint(TASK))
    found = export(
        Request(model, "onnx", keeping(read_recipe("mixed"), cosine), output=tmp_path, untrained=True)
    )
    less = within(read_recipe("mixed"), round(0.98 * found.bytes))
    smaller = export(Request(model, "onnx", less, output=tmp_path, untrained=True))
    assert smaller.bytes < found.bytes and kept_cosine(smaller.parity) < cosine <= kept_cosine(found.parity)


def test_what_is_expected_and_what_is_measured_are_one_quantity(exports: Exports, tmp_path: Path) -> None:
    """The line of the plot leads through the file, and near another one that was written."""
    result = make(exports, "onnx", tmp_path / "first")
    survey = result.survey
    assert survey is not None
    chosen = loss(survey.chosen(result.plan.recipe))
    assert survey.cosine(chosen) == pytest.approx(kept_cosine(result.parity), abs=1e-12)
    recipe = within(read_recipe("mixed"), round(1.1 * LIMITS["onnx"]))
    other = export(Request(str(exports.checkpoint(TASK)), "onnx", recipe, output=tmp_path, untrained=True))
    expected = 1 - survey.cosine(loss(survey.chosen(other.plan.recipe)))
    assert 0.25 < expected / (1 - kept_cosine(other.parity)) < 4


def test_quantized_activations_are_a_part_of_what_is_expected(exports: Exports, tmp_path: Path) -> None:
    """ONNX quantizes them, Core ML does not."""
    onnx, core_ml = (make(exports, target, tmp_path).survey for target in ("onnx", "coreml"))
    assert onnx is not None and core_ml is not None
    assert onnx.activations > 0 == core_ml.activations
    assert 1 - onnx.cosine(0.0) == pytest.approx(onnx.scale * onnx.activations)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that is sure of most of its labels, as a trained one is."""
    from safetensors.torch import load_file, save_file

    folder = make_checkpoint(tmp_path_factory.mktemp("classifier") / "sure", CLASSIFIER)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] = 20 * weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def flipping_bundle(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    model = str(classifier)
    folder = tmp_path_factory.mktemp("flips")
    return export(Request(model, "onnx", flipping(read_recipe("mixed"), 0.01), output=folder))


def test_a_share_of_labels_is_kept_on_many_texts_and_is_the_threshold(flipping_bundle: Result) -> None:
    report, manifest = flipping_bundle.parity, read_manifest(flipping_bundle.bundle)
    assert report["verdict"] == "passed" and report["labels"]["flip_share"] <= 0.01
    assert report["thresholds"]["flip_share"] == 0.01 and report["labels"]["decided"] > 400
    assert report["texts"]["count"] >= 512 and report["texts"]["source"] == "builtin"
    assert manifest.recipe["name"] == "mixed-flips1pct" and "budget" not in manifest.recipe
    assert manifest.recipe["parity"] == {"flip_share": 0.01}


def test_fewer_labels_may_change_only_in_a_larger_file(
    classifier: Path, tmp_path: Path, flipping_bundle: Result
) -> None:
    model = str(classifier)
    many = export(Request(model, "onnx", flipping(read_recipe("mixed"), 0.1), output=tmp_path))
    assert many.bytes < 1.01 * flipping_bundle.bytes and not many.failures
    assert many.parity["labels"]["flip_share"] <= 0.1


def test_a_bundle_is_compared_again_on_as_many_texts(
    classifier: Path, flipping_bundle: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = str(classifier)
    assert parity_main([str(flipping_bundle.bundle), "--reference", reference, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["texts"] == flipping_bundle.parity["texts"]
    assert report["labels"] == flipping_bundle.parity["labels"]


@pytest.mark.parametrize(("spelt", "share"), [("1%", 0.01), ("0.01", 0.01), ("2.5 %", 0.025), ("0%", 0.0)])
def test_a_share_of_labels_is_spelt_as_per_cent_or_as_a_part(
    monkeypatch: pytest.MonkeyPatch, spelt: str, share: float
) -> None:
    asked = []
    monkeypatch.setattr(command_module, "_export", lambda requests, *more: asked.extend(requests))
    assert main(["--target", "onnx", "--max-flips", spelt]) == 0
    (request,) = asked
    assert request.recipe.budget == Budget(max_flips=pytest.approx(share))


@pytest.mark.parametrize("spelt", ["1", "100%", "-1%", "one", "%", "1%%"])
def test_what_is_no_share_is_refused(spelt: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "onnx", "--max-flips", spelt]) == 2
    assert "1%" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["feature-extraction", "fill-mask"])
def test_a_head_without_labels_has_none_that_could_change(
    exports: Exports, tmp_path: Path, task: str
) -> None:
    recipe = flipping(read_recipe("mixed"), 0.01)
    request = Request(str(exports.checkpoint(task)), "onnx", recipe, output=tmp_path / "out")
    assert "--min-parity" in error_of(UsageError, export, request)
    assert not (tmp_path / "out").exists()


def test_a_regression_has_no_labels_either(tmp_path: Path) -> None:
    source = make_checkpoint(tmp_path / "source", CLASSIFIER, num_labels=1, problem_type="regression")
    request = Request(str(source), "onnx", flipping(read_recipe("mixed"), 0.01), output=tmp_path / "out")
    assert "--min-parity" in error_of(UsageError, export, request)


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
    axes = {"model file, MB", "1 - mean cosine of the outputs to float32"}
    assert {"onnx, the solver's path (expected)", *axes} <= texts
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
        (["--max-flips", "1%", "--min-parity", "0.99"], "more than one recipe"),
        (["--max-flips", "0", "--int8"], "--max-flips"),
        (["--max-flips", "1%"], "--min-parity"),
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
