"""``bertmobile-bench host`` measures real bundles in processes of their own."""

import json
from pathlib import Path

import psutil
import pytest

from bertmobile.bundle import sha256_file
from bertmobile_bench.cli import main
from bertmobile_bench.schemas import validate
from tests.exports import Exports

QUICK = ["--runs", "4", "--seconds", "0", "--threads", "1", "--lengths", "16,32"]


@pytest.fixture
def bundles(exports: Exports) -> dict[str, Path]:
    return {target: exports("fill-mask", "int8", target=target).bundle for target in ("tflite", "onnx")}


def test_all_cases_are_measured_and_the_document_fits_its_schema(
    bundles: dict[str, Path], exports: Exports, capfd: pytest.CaptureFixture[str]
) -> None:
    reference = str(exports.checkpoint("fill-mask"))
    versus = str(bundles["onnx"])
    arguments = ["host", str(bundles["tflite"]), "--vs", versus, "--reference", reference, "--json", *QUICK]
    assert main(arguments) == 0
    document = json.loads(capfd.readouterr().out)
    validate(document, "results")
    cases = {(result["engine"], result["workload"]) for result in document["results"]}
    engines = {"litert", "onnxruntime", "pytorch"}
    assert {engine for engine, _ in cases} == engines
    assert all((engine, "texts") in cases for engine in engines)
    for bundle in document["bundles"]:
        assert bundle["sha256"] == sha256_file(bundles[bundle["target"]] / "manifest.json")
        assert bundle["compressed_bytes"] < bundle["bytes"] and bundle["model_bytes"] < bundle["bytes"]
        parity = json.loads((bundles[bundle["target"]] / "parity.json").read_text("utf-8"))
        assert bundle["cosine"] == next(iter(parity["outputs"].values()))["cosine_mean"]
    for result in document["results"]:
        assert len(result["latency"]["seconds"]) >= 4
        assert 0 < result["load_seconds"] < result["cold_start_seconds"]
        assert result["peak_bytes"] > 10_000_000
        assert any("runs" in doubt for doubt in result["doubts"])
    assert document["device"]["emulated"] is False
    compared = {(each["bundle"], each["workload"]) for each in document["comparisons"]}
    assert (bundles["tflite"].name, "texts") in compared and len(compared) >= 2


def test_the_table_has_the_headline_and_says_what_is_not_to_be_trusted(
    bundles: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["host", str(bundles["onnx"]), *QUICK]) == 0
    out = capfd.readouterr().out
    assert "p90" in out and "peak" in out and "not trusted: only " in out


def test_no_process_is_left_behind(bundles: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["host", str(bundles["onnx"]), "--no-texts", *QUICK]) == 0
    left = [child for child in psutil.Process().children() if "host.worker" in " ".join(child.cmdline())]
    assert left == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--lengths", "7", "--no-texts"], "give --lengths"),
        (["--lengths", "none"], "32,64,128"),
        (["--threads", "0"], "positive"),
        (["--engine", "abacus"], "abacus"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    bundles: dict[str, Path], options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["host", str(bundles["tflite"]), *options]) != 0
    assert says in capsys.readouterr().err


def test_two_bundles_of_one_name_are_refused(
    bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = shutil.copytree(bundles["onnx"], tmp_path / bundles["onnx"].name)
    assert main(["host", str(bundles["onnx"]), str(copy), *QUICK]) == 2
    assert "rename" in capsys.readouterr().err
