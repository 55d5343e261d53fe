"""ONNX Runtime's own format: the same model, the same size, and a list of the operators that it needs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bertmobile_export.checkpoint import Checkpoint
from bertmobile_export.targets.onnx.ort_format import REQUIRED_OPERATORS

from .models import LONGEST, Written, some_inputs, write_model

Write = Callable[..., Written]
FILES = [
    ("float32", False),
    ("int8", False),
    ("int8-static", False),
    ("float32", True),
    ("int8-static", True),
]
# One in which weights outweigh the nodes, which take more room in this format.
LARGE = {"hidden_size": 128, "intermediate_size": 512, "vocab_size": 8000}


@pytest.mark.parametrize(("recipe", "portable"), FILES)
@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "feature-extraction"])
def test_answers_are_those_of_the_onnx_file(written: Write, task: str, recipe: str, portable: bool) -> None:
    onnx, ort = (written(task, recipe, portable=portable, ort=ort) for ort in (False, True))
    assert ort.path.read_bytes()[4:8] == b"ORTM"
    for tokens in ([6], [LONGEST]) if portable else ([6], [13, 5, 8]):
        inputs = some_inputs(onnx.plan, tokens, LONGEST if portable else None)
        expected = onnx.run(inputs)
        actual = ort.run(inputs)
        assert actual.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(actual[name], values, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("recipe", "portable"), FILES)
def test_the_tied_table_is_stored_once(
    checkpoint: Callable[..., Checkpoint], tmp_path: Path, recipe: str, portable: bool
) -> None:
    source = checkpoint("fill-mask", tokens=tuple(tokens(LARGE["vocab_size"])), **LARGE)
    onnx = write_model(source, tmp_path / "model.onnx", recipe, portable=portable)
    ort = write_model(source, tmp_path / "own.ort", recipe, portable=portable, ort=True)
    table = LARGE["vocab_size"] * LARGE["hidden_size"] * (4 if recipe == "float32" else 1)
    assert onnx.bytes < 1.9 * table + 3_000_000
    assert abs(ort.bytes - onnx.bytes) < 0.1 * table
    print(recipe, portable, onnx.bytes, ort.bytes, ort.bytes / onnx.bytes)


def tokens(count: int) -> list[str]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return special + [f"word{index}" for index in range(count - len(special))]


@pytest.mark.parametrize(("recipe", "portable"), FILES)
def test_the_operators_that_a_reduced_build_needs_are_listed(
    written: Write, recipe: str, portable: bool
) -> None:
    ort = written("fill-mask", recipe, portable=portable, ort=True)
    folder = ort.path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["model.ort", REQUIRED_OPERATORS]
    text = (folder / REQUIRED_OPERATORS).read_text(encoding="utf-8")
    domains = dict(line.split(";", 1) for line in text.splitlines())
    assert domains.keys() <= {"ai.onnx;21", "ai.onnx", "com.microsoft"} and "ai.onnx" in domains
    assert "/" not in text and str(folder) not in text
    assert "Softmax" in text and "Gather" in text
    if recipe == "int8":
        assert "DynamicQuantizeMatMul" in text or "MatMulIntegerToFloat" in text


def test_two_conversions_are_identical(checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_model(checkpoint("fill-mask"), tmp_path / name / "model.ort", "int8", ort=True)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert len(contents[0]) == 2 and contents[0] == contents[1]
