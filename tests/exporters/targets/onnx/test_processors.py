"""One file gives one answer: here, on x86 without VNNI, and by kernels that cannot saturate."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from bertmobile_bench.unsigned import convert
from bertmobile_export.checkpoint import Checkpoint
from bertmobile_export.recipes import WeightFormat, read_recipe
from bertmobile_export.targets.onnx import TARGET
from tests.processors import Answers, on_older_processor

from .models import LONGEST, Inputs, Written, recipe, some_inputs, write_model

NARROW = {
    "embeddings": WeightFormat(4, "scaled-block", 32),
    "encoder": WeightFormat(5, "scaled-block", 32),
    "head": WeightFormat(6),
}
MIXED = replace(read_recipe("int8"), weights=NARROW)
BLOCKS = recipe(8, 8, 8, "dynamic", granularity="block", block_size=32)
FILES: dict[str, tuple[str, Any, dict[str, bool]]] = {
    "int8": ("text-classification", "int8", {}),
    "int8, tied table": ("fill-mask", "int8", {}),
    "int8, all logits": ("fill-mask", "int8", {"full_logits": True}),
    "int8-static": ("fill-mask", "int8-static", {}),
    "int8-static, portable": ("fill-mask", "int8-static", {"portable": True}),
    "mixed, tied table": ("fill-mask", MIXED, {}),
    "int8, ort": ("fill-mask", "int8", {"ort": True}),
    "int8-static, ort": ("fill-mask", "int8-static", {"ort": True}),
    "blocks": ("feature-extraction", BLOCKS, {}),
}
# As a part of the answer's size. What another order of sums changes may move an activation to its next code.
SPREAD = 0.02


def extreme(checkpoint: Checkpoint) -> Checkpoint:
    """The same with weights that have one size in a matrix: all codes are as large as they can be."""
    made: dict[int, torch.Tensor] = {}
    state = {}
    for name, weight in checkpoint.network_state.items():
        if weight.ndim == 2:  # a tied one stays so
            weight = made.setdefault(id(weight), torch.sign(weight) * weight.abs().mean())
        state[name] = weight
    return replace(checkpoint, network_state=state)


@pytest.fixture
def write(checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> Callable[..., Written]:
    def made(name: str) -> Written:
        task, chosen, options = FILES[name]
        source = extreme(checkpoint(task, hidden_size=64, intermediate_size=128))
        return write_model(
            source, tmp_path / f"model.{'ort' if 'ort' in options else 'onnx'}", chosen, **options
        )

    return made


def run(path: Path, inputs: Inputs) -> Answers:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def exact(written: Written, inputs: Inputs) -> Answers:
    """The answers of kernels that add up in 32 bits."""
    path = written.path.with_name("exact.onnx")
    convert(written.path, path)
    return run(path, inputs)


def apart(one: Answers, two: Answers) -> float:
    """The largest distance of two outputs, as a part of their size."""
    assert one.keys() == two.keys()
    return max(float(np.linalg.norm(one[name] - two[name]) / np.linalg.norm(two[name])) for name in one)


@pytest.mark.parametrize("name", FILES)
def test_a_file_answers_alike_on_every_processor(
    write: Callable[..., Written], name: str, tmp_path: Path
) -> None:
    written = write(name)
    inputs = some_inputs(written.plan, [LONGEST], LONGEST)
    here = run(written.path, inputs)
    (older,) = on_older_processor([written.path], inputs, tmp_path)
    assert apart(older, here) < SPREAD
    if not written.plan.ort:
        assert apart(exact(written, inputs), here) < SPREAD


@pytest.mark.parametrize("name", [name for name in FILES if name != "blocks" and not name.endswith("ort")])
def test_codes_that_are_not_paired_would_answer_differently_on_an_older_one(
    write: Callable[..., Written], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TARGET, "levels", lambda plan: "symmetric")
    plain = write(name)
    inputs = some_inputs(plain.plan, [LONGEST], LONGEST)
    (older,) = on_older_processor([plain.path], inputs, tmp_path)
    assert apart(older, exact(plain, inputs)) > 2 * SPREAD
