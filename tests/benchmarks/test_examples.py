"""The scripts in ``examples/`` make checkpoints and data that export and measurement take as they are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bertmobile_bench.accuracy import measure
from bertmobile_export.export import Request, export
from bertmobile_export.recipes import read_recipe

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "data", "label"),
    [("train_sentiment", "test.tsv", "accuracy"), ("train_masked_lm", "test.jsonl", "pseudo-perplexity")],
)
def test_an_example_makes_a_model_that_can_be_measured(
    script: str, data: str, label: str, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    command = [sys.executable, EXAMPLES / f"{script}.py", out, "--steps", "4", "--limit", "12"]
    done = subprocess.run([*map(str, command), "--cache", str(tmp_path)], capture_output=True, text=True)
    if done.returncode and "cannot be fetched" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    printed = re.search(rf"{label} \w+ 12 held-out sentences: ([\d.]+)", done.stdout)
    bundle = export(
        Request(str(out), "onnx", read_recipe("float32"), lengths=(64,), output=tmp_path / "bundles")
    ).bundle
    score = measure(bundle, str(out), out / data, masks_per_text=2 if label != "accuracy" else None).score
    assert abs(score.change) < 0.1
    if label == "accuracy":
        assert 100 * score.reference == pytest.approx(float(printed[1]), abs=0.1)
