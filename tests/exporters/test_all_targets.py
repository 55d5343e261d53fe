"""``--target all``: one checkpoint, three bundles, and how far they agree."""

import json
import shutil
from pathlib import Path

import pytest

from bertmobile import load
from bertmobile.cli import main as run_main
from bertmobile.display import lines
from bertmobile_export.cli.export import main
from bertmobile_export.export import Request, make_plan
from bertmobile_export.parity.agreement import agreement
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets import get_target, target_names
from bertmobile_export.texts import Sample, TextSet
from tests.conftest import ExportedAll
from tests.exports import Exports

ALL = ["tflite", "onnx", "coreml"]


def test_the_command_makes_a_bundle_for_each_target_and_says_how_they_compare(
    export_all_json: ExportedAll,
) -> None:
    document = export_all_json.document
    assert export_all_json.process.done.stderr == ""
    assert [entry["target"] for entry in document["bundles"]] == ALL == target_names()
    for entry in document["bundles"]:
        assert entry["parity"]["verdict"] == "passed"
        assert entry["seconds"] > 0
        with load(entry["bundle"]) as model:
            assert model.manifest.model_bytes == entry["bytes"]
    assert {tuple(entry["targets"]) for entry in document["agreement"]} == {
        ("tflite", "onnx"), ("tflite", "coreml"), ("onnx", "coreml"),
    }  # fmt: skip
    for entry in document["agreement"]:
        (numbers,) = entry["outputs"].values()
        # Two bundles that each keep a cosine of .98 with the source cannot be further apart than this.
        assert 2 * 0.98**2 - 1 < numbers["cosine_min"] < 1
    assert document["milliseconds"]["tflite"] > 0 and document["milliseconds"]["onnx"] > 0
    assert document["milliseconds"]["coreml"] is None


def test_the_bundles_of_all_targets_give_the_same_answers(export_all_json: ExportedAll) -> None:
    answers = {}
    for target, bundle in export_all_json.bundles.items():
        with load(bundle) as model:
            answers[target] = model("my [MASK] found the land", targets=["house", "dog", "water"])
    for target in ("onnx", "coreml"):
        for mine, other in zip(answers["tflite"], answers[target], strict=True):
            assert mine["token_str"] == other["token_str"]
            assert mine["score"] == pytest.approx(other["score"], rel=0.2)


@pytest.mark.parametrize("target", ALL)
def test_the_command_runs_the_bundle_of_any_target(
    export_all_json: ExportedAll, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(export_all_json.bundles[target])
    assert run_main([bundle, "my [MASK] found the land", "--top-k", "3"]) == 0
    out, err = capsys.readouterr()
    with load(bundle) as model:
        best = model("my [MASK] found the land", top_k=3)
    assert err == "" and out.splitlines() == lines(best) and len(best) == 3


def test_a_text_whose_mask_is_cut_off_is_not_compared(export_all_json: ExportedAll) -> None:
    samples = (Sample("the [MASK] of the land"), Sample("land " * 200 + "[MASK]"), Sample("[MASK] rain"))
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    found = agreement(export_all_json.bundles, TextSet(samples, "file"), progress)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(found.numbers) == 3
    assert all(each["outputs"]["logits"]["cosine_texts"] == 2 for each in found.numbers.values())


def test_a_bundle_agrees_with_itself_to_the_last_bit(export_all_json: ExportedAll) -> None:
    bundle = export_all_json.bundles["onnx"]
    found = agreement({"one": bundle, "two": bundle}, TextSet((Sample("the [MASK] of the land"),), "file"))
    numbers = found.numbers["one", "two"]["outputs"]["logits"]
    assert numbers["max_abs"] == 0 and numbers["top1"] == 1
    assert all(value is not None and value > 0 for value in found.milliseconds.values())


@pytest.mark.slow
def test_float32_bundles_agree_to_the_last_digits(exports: Exports) -> None:
    task = "text-classification"
    samples = tuple(Sample(f"number {i} came back from the {'small ' * i}house") for i in range(20))
    found = agreement(
        {target: exports(task, target=target).bundle for target in ALL}, TextSet(samples, "file")
    )
    for numbers in found.numbers.values():
        logits = numbers["outputs"]["logits"]
        assert logits["cosine_texts"] == 20 and logits["max_abs"] < 1e-5


def test_a_failure_in_one_target_leaves_nothing(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = exports("text-classification").bundle / "model.tflite"
    written = []

    def copy(plan: Plan, network: object, calibration: object, path: Path, tokenizer: object) -> None:
        written.append(shutil.copy(ready, path))

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(vars(get_target("tflite")), "write", copy)
    monkeypatch.setitem(vars(get_target("onnx")), "write", full_disk)
    model = str(exports.checkpoint("text-classification"))
    capsys.readouterr()  # of making the checkpoint
    assert main(["--model", model, "--target", "all", "--output", str(tmp_path / "out")]) == 1
    assert "No space left" in capsys.readouterr().err
    assert len(written) == 1 and list((tmp_path / "out").iterdir()) == []


def test_options_of_one_target_do_not_stop_the_others(
    exports: Exports, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(exports.checkpoint("fill-mask"))
    options = ["--model", model, "--target", "all", "--dry-run", "--json"]
    assert main([*options, "--portable", "--fp16", "--ios", "17", "--seq-len", "32"]) == 0
    sizes = json.loads(capsys.readouterr().out)["recipes"]["float16"]
    assert list(sizes) == ALL and all(size > 0 for size in sizes.values())


@pytest.mark.parametrize(
    ("target", "option"),
    [("tflite", "--portable"), ("tflite", "--ort"), ("onnx", "--mediapipe"), ("coreml", "--ort")],
)
def test_an_option_of_another_target_is_refused(
    exports: Exports, target: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(exports.checkpoint("fill-mask"))
    assert main(["--model", model, "--target", target, option]) == 2
    error = capsys.readouterr().err
    assert option in error and target in error and "leave it out" in error


def test_lengths_follow_what_a_file_can_hold(exports: Exports) -> None:
    from bertmobile_export.checkpoint.config import read_config

    folder = exports.checkpoint("fill-mask", max_position_embeddings=512)
    config = read_config(folder)
    recipe = read_recipe("float32")

    def lengths(target: str, **more: object) -> tuple[int, ...]:
        request = Request(str(folder), target, recipe, **more)  # type: ignore[arg-type]
        return make_plan(request, "m", config)[0].lengths

    assert lengths("onnx") == lengths("coreml") == lengths("tflite") == (32, 64, 128, 256)
    assert lengths("onnx", portable=True) == lengths("coreml", ios=17) == (128,)
