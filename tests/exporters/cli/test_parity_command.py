"""``bertmobile-parity``: a bundle that exists already, against a reference that the user names."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertmobile import BundleError
from bertmobile.schemas import validate
from bertmobile_export.cli.parity import main
from bertmobile_export.export import Result
from bertmobile_export.threads import one_thread_each
from tests.exports import Exports

TASK = "feature-extraction"


@pytest.fixture(autouse=True, scope="module")
def single() -> Any:
    with one_thread_each():
        yield


@pytest.fixture(scope="module")
def bundle(exports: Exports) -> Path:
    return exports(TASK).bundle


@pytest.fixture(scope="module")
def reference(exports: Exports) -> Path:
    return exports.checkpoint(TASK)


def other_weights(reference: Path, folder: Path, change: float) -> Path:
    shutil.copytree(reference, folder)
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(0)
    noisy = {name: tensor + change * torch.randn_like(tensor) for name, tensor in weights.items()}
    save_file(noisy, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    return err


def test_a_good_bundle_passes_and_the_table_says_so(
    bundle: Path, reference: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle), "--reference", str(reference)]) == 0
    out, err = capfd.readouterr()
    assert err == "" and out.startswith("Parity passed: ")
    assert "last_hidden_state" in out and "sentence_embedding" in out
    assert "layer" not in out


def test_json_is_the_report_of_the_export_and_whether_the_weights_are_the_same(
    bundle: Path, reference: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle), "--reference", str(reference), "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and out.count("\n") == 1
    document = json.loads(out)
    assert document.pop("same_weights") is True
    validate(document, "parity", source="stdout", error=BundleError)
    assert document["verdict"] == "passed" and document["texts"]["source"] == "builtin"
    exported = json.loads((bundle / "parity.json").read_text())
    assert document["texts"] == exported["texts"] and document["thresholds"] == exported["thresholds"]
    for name, numbers in exported["outputs"].items():
        assert document["outputs"][name]["cosine_min"] == pytest.approx(numbers["cosine_min"], abs=1e-9)


def test_texts_of_the_user_are_compared_and_only_counted(
    bundle: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "mine.txt"
    texts.write_text(
        "zanzibar is warm\n\nquicksilver\nthe people " + "came home " * 20 + "\n", encoding="utf-8"
    )
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    assert main([str(bundle), "--reference", str(reference), "--texts", str(texts), "--json"]) == 0
    out = capsys.readouterr().out
    assert "zanzibar" not in out and "quicksilver" not in out
    report = json.loads(out)["texts"]
    assert report["source"] == "file" and report["count"] == 3 and report["per_bucket"] == {"32": 2, "64": 1}
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before


@pytest.mark.parametrize("content", [None, "", "\n \n", b"\xff\xfe"])
def test_texts_that_cannot_be_read_exit_2(
    bundle: Path,
    reference: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | bytes | None,
) -> None:
    texts = tmp_path / "mine.txt"
    if content is not None:
        texts.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main([str(bundle), "--reference", str(reference), "--texts", str(texts)]) == 2
    assert "mine.txt" in error_line(capsys)


def test_another_models_weights_exit_2_unless_allowed(
    bundle: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_weights(reference, tmp_path / "other", 1e-7)
    given = [str(bundle), "--reference", str(other), "--json"]
    assert main(given) == 2
    assert "--allow-different" in error_line(capsys)
    assert main([*given, "--allow-different"]) == 0
    assert json.loads(capsys.readouterr().out)["same_weights"] is False


def test_weights_that_differ_too_much_exit_3_and_name_output_and_text(
    bundle: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_weights(reference, tmp_path / "other", 0.05)
    assert main([str(bundle), "--reference", str(other), "--allow-different", "--json"]) == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["verdict"] == "failed" and document["same_weights"] is False
    assert err.startswith("error: ") and err.count("\n") == 1
    assert "sentence_embedding: max_abs" in err and "(text " in err


@pytest.mark.parametrize("damage", ["model", "vocabulary", "missing", "extra", "manifest"])
def test_a_tampered_bundle_is_refused(
    bundle: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    copy = shutil.copytree(bundle, tmp_path / bundle.name)
    if damage == "model":
        content = bytearray((copy / "model.tflite").read_bytes())
        content[-100] ^= 1
        (copy / "model.tflite").write_bytes(content)
    elif damage == "vocabulary":
        (copy / "vocab.txt").write_text((copy / "vocab.txt").read_text().replace("people", "peaple"))
    elif damage == "missing":
        (copy / "golden.json").unlink()
    elif damage == "extra":
        (copy / "libextra.so").write_bytes(b"")
    else:
        (copy / "manifest.json").write_text("{}")
    assert main([str(copy), "--reference", str(reference)]) == 1
    assert copy.name in error_line(capsys)


def test_no_bundle_no_reference_and_an_unknown_engine_are_clear_errors(
    bundle: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--reference", str(reference)]) == 1
    assert "not a bundle" in error_line(capsys)
    assert main([str(bundle)]) == 2
    assert "--reference" in error_line(capsys)
    assert main([str(bundle), "--reference", str(tmp_path)]) == 1
    assert "config.json" in error_line(capsys)
    assert main([str(bundle), "--reference", str(reference), "--engine", "abacus"]) == 2
    assert "abacus" in error_line(capsys)


@pytest.fixture(scope="module")
def core_ml(exports: Exports) -> list[str]:
    """Arguments for a Core ML bundle of half precision."""
    bundle = exports("token-classification", "float16", target="coreml").bundle
    return [str(bundle), "--reference", str(exports.checkpoint("token-classification"))]


def test_both_ways_to_round_are_shown_and_that_neither_is_core_ml(
    core_ml: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(core_ml) == 0
    out, err = capfd.readouterr()
    flat = " ".join(out.split())
    assert err == "" and "mlprogram-evaluator-fp32" in flat and "is not Core ML itself" in flat
    assert main([*core_ml, "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["engine"]["name"] == "mlprogram-evaluator" and "is not Core ML itself" in report["note"]
    beside = report["also"]["mlprogram-evaluator-fp32"]["outputs"]
    (rounded,), (plain,) = report["outputs"].values(), beside.values()
    # Rounding to half precision after every operator adds to what the weights alone lost.
    assert 0 < plain["mean_abs"] < rounded["mean_abs"] < 0.05


def test_the_evaluator_can_be_asked_not_to_round(
    core_ml: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*core_ml, "--engine", "mlprogram-evaluator-fp32", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["engine"]["name"] == "mlprogram-evaluator-fp32" and report["also"] == {}


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here")
def test_core_ml_itself_exits_2_off_macos(core_ml: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*core_ml, "--engine", "coreml"]) == 2
    assert "macOS only" in error_line(capsys)


def test_an_engine_of_another_target_exits_2_and_names_those_that_fit(
    core_ml: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*core_ml, "--engine", "litert"]) == 2
    line = error_line(capsys)
    assert "coreml" in line and "mlprogram-evaluator-fp32" in line


def test_a_reference_without_the_bundles_head_is_a_clear_error(
    exports: Exports, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(exports("fill-mask").bundle), "--reference", str(reference)]) == 1
    assert "head" in error_line(capsys)


@pytest.mark.slow
def test_bisect_finds_the_layer_that_a_failed_bundle_loses_in(
    coarse: Result, exports: Exports, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two bits in the layers, eight in the embeddings: the largest drop is in a layer, and marked once."""
    source = exports.checkpoint(TASK, num_hidden_layers=2)
    given = [str(coarse.bundle), "--reference", str(source), "--bisect"]
    assert main(given) == 3
    out, err = capfd.readouterr()
    # Under pytest sys.stderr is not descriptor 2, so a progress bar of the quantizer's may come before.
    assert err.count("error: ") == 1 and err.splitlines()[-1].startswith("error: ")
    assert "Parity failed" in out
    rows = out[out.index("Layer by layer") :].splitlines()
    names = [row.split()[0] for row in rows[2:] if row.strip()]
    assert names == ["embeddings", "layer_0", "last_hidden_state", "sentence_embedding"]
    (marked,) = [row for row in rows if "<- largest drop" in row]
    drops = {row.split()[0]: float(row.split()[3]) for row in rows[2:] if row.strip()}
    assert marked.split()[0] == max(drops, key=drops.__getitem__)
    # The second layer is feature-extraction's output itself.
    assert marked.split()[0] in ("layer_0", "last_hidden_state")
    layers = min(drops["layer_0"], drops["last_hidden_state"])
    assert drops["embeddings"] < 0.001 and layers > 0.02


@pytest.mark.parametrize(
    ("task", "recipe", "target", "last"),
    [
        ("fill-mask", "int8", "onnx", "logits"),
        pytest.param("fill-mask", "int8", "coreml", "logits", marks=pytest.mark.slow),
        pytest.param("text-classification", "int8-static", "onnx", "logits", marks=pytest.mark.slow),
        pytest.param(
            "feature-extraction", "int8-static", "coreml", "sentence_embedding", marks=pytest.mark.slow
        ),
    ],
)
def test_bisect_shows_the_layers_of_a_bundle_of_any_target(
    exports: Exports, capfd: pytest.CaptureFixture[str], task: str, recipe: str, target: str, last: str
) -> None:
    bundle = exports(task, recipe, target=target).bundle
    given = [str(bundle), "--reference", str(exports.checkpoint(task)), "--bisect", "--json"]
    assert main(given) == 0
    out, err = capfd.readouterr()
    # Under pytest sys.stderr is not descriptor 2, so progress bars of the converter's may come through.
    assert "error" not in err
    layers = json.loads(out)["layers"]
    names = [layer["name"] for layer in layers]
    assert names[0] == "embeddings" and names[-1] == last and len(names) >= 3
    assert all(0.97 < layer["cosine_min"] <= layer["cosine_mean"] <= 1 for layer in layers)
    # Something was quantized on the way.
    assert layers[-1]["cosine_mean"] < 1


@pytest.mark.slow
def test_bisect_in_json_has_every_layer_and_of_float32_none_loses(
    bundle: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle), "--reference", str(reference), "--bisect", "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["name"] for layer in layers] == ["embeddings", "last_hidden_state", "sentence_embedding"]
    for layer in layers:
        assert layer.keys() == {"name", "cosine_mean", "cosine_min", "drop"}
        assert layer["cosine_min"] > 1 - 1e-9 and abs(layer["drop"]) < 1e-9
