"""``bertmobile-bench adb --benchmark-model``, with a program that prints what LiteRT's does."""

import json
from pathlib import Path

import numpy as np
import pytest

from bertmobile_bench.cli import main
from bertmobile_bench.device.adb import DeviceError
from bertmobile_bench.device.runners import Cell
from bertmobile_bench.device.stock import parse
from bertmobile_bench.schemas import validate
from tests.benchmarks.device.conftest import Devices

CELL = Cell(1, "32", ("b",))
QUICK = ("--runs", "3", "--seconds", "0", "--lengths", "32", "--no-texts")
# The lines that releases before and after 2023 print.
OLD = """\
count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478

count=50 first=52162 curr=49785 min=49088 max=68610 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3e+06, Inference (avg): 2.95e+06
"""
NEW = """\
INFO: count=1 curr=1357602 p5=1357602 median=1357602 p95=1357602

INFO: count=50 first=124996 curr=124014 min=123858 max=125256 avg=124027 std=256 p5=1 median=123980 p95=2

INFO: Inference timings in us: Init: 5579, First inference: 13576, Warmup (avg): 9, Inference (avg): 124027
INFO: Overall peak memory footprint (MB) via periodic monitoring: 64.5
"""


def test_old_and_new_output_is_read() -> None:
    old, new = parse(OLD, "b", CELL), parse(NEW, "b", CELL)
    assert (old.mean, old.median, old.load_seconds, old.peak_bytes) == (2.95034, None, 0.017187, None)
    assert (new.mean, new.median, new.load_seconds) == (0.124027, 0.12398, 0.005579)
    assert new.peak_bytes == 64.5 * 2**20


@pytest.mark.parametrize("said", ["", "ERROR: Failed to create interpreter"])
def test_output_without_timings_is_an_error_with_its_last_line(said: str) -> None:
    with pytest.raises(DeviceError, match=said or "nothing"):
        parse(said, "b", CELL)


def test_the_program_gets_real_tokens_in_files_and_its_averages_are_told_as_such(
    devices: Devices, bundles: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    devices()
    log, kept = tmp_path / "options", tmp_path / "kept"
    program = tmp_path / "benchmark model"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {log}\nmkdir {kept}\n'
        f'cp "$(dirname "$0")"/0/*.bin {kept}\ncat >&2 <<"END"\n{NEW}END\n'
    )
    arguments = ["adb", str(bundles["tflite"]), "--benchmark-model", str(program), "--json", *QUICK]
    assert main(arguments) == 0
    document = json.loads(capfd.readouterr().out)
    validate(document, "results")
    (result,) = document["results"]
    assert result["runner"] == "benchmark_model" and result["latency"]["mean"] == 0.124027
    assert result["latency"]["p90"] is None and result["latency"]["seconds"] == []
    assert any("summary" in doubt for doubt in result["doubts"])
    options = dict(line.removeprefix("--").split("=", 1) for line in log.read_text().splitlines())
    manifest = json.loads((bundles["tflite"] / "manifest.json").read_text())
    names = [each["name"] for each in manifest["inputs"]]
    assert options["input_layer"] == ",".join(names) and options["signature_to_run_for"] == "seq_32"
    ids = np.fromfile(kept / "input_ids.bin", np.int32)
    assert ids.shape == (32,) and ids.min() > 0 and ids.max() < manifest["tokenizer"]["vocab_size"]


@pytest.mark.parametrize(("more", "told"), [((), "--no-texts"), (("--no-texts",), "tflite")])
def test_what_it_cannot_run_is_refused(
    more: tuple[str, ...],
    told: str,
    devices: Devices,
    bundles: dict[str, Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    devices()
    program = tmp_path / "benchmark_model"
    program.write_text("#!/bin/sh\n")
    assert main(["adb", str(bundles["onnx"]), "--benchmark-model", str(program), *more]) == 2
    assert told in capfd.readouterr().err
