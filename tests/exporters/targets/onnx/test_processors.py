"""One file gives one answer: here, on x86 without VNNI, and by kernels that cannot saturate."""

from pathlib import Path

import pytest

from bertmobile_bench.unsigned import convert
from bertmobile_export.targets.onnx import TARGET
from tests.processors import Answers, on_older_processor

from .extremes import FILES, SPREAD, apart, run, write_extreme
from .models import LONGEST, Inputs, Written, some_inputs


def exact(written: Written, inputs: Inputs) -> Answers:
    """The answers of kernels that add up in 32 bits."""
    path = written.path.with_name("exact.onnx")
    convert(written.path, path)
    return run(path, inputs)


@pytest.mark.parametrize("name", FILES)
def test_a_file_answers_alike_on_every_processor(name: str, tmp_path: Path) -> None:
    written = write_extreme(name, tmp_path)
    inputs = some_inputs(written.plan, [LONGEST], LONGEST)
    here = run(written.path, inputs)
    (older,) = on_older_processor([written.path], inputs, tmp_path)
    assert apart(older, here) < SPREAD
    if not written.plan.ort:
        assert apart(exact(written, inputs), here) < SPREAD


@pytest.mark.parametrize("name", [name for name in FILES if name != "blocks" and not name.endswith("ort")])
def test_codes_that_are_not_paired_would_answer_differently_on_an_older_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TARGET, "levels", lambda plan: "symmetric")
    plain = write_extreme(name, tmp_path)
    inputs = some_inputs(plain.plan, [LONGEST], LONGEST)
    (older,) = on_older_processor([plain.path], inputs, tmp_path)
    assert apart(older, exact(plain, inputs)) > 2 * SPREAD
