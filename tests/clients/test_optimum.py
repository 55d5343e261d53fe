"""Hugging Face Optimum loads our ONNX bundles as they are, and answers what our runtime answers."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertmobile import load
from tests.exports import Exports

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/onnx.md"
WITHIN = 1e-5
TEXTS = ["Paris is the [MASK] city of France.", "Rain.", "The weather in London was not very Good, was it?"]
# Bundle, and the class that a user would choose for it.
BUNDLES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "fill-mask": ("ORTModelForMaskedLM", "fill-mask", "float32", {"full_logits": True}),
    "cased": ("ORTModelForMaskedLM", "fill-mask", "float32",
              {"full_logits": True, "checkpoint": {"cased": True}}),
    "text-classification": ("ORTModelForSequenceClassification", "text-classification", "float32", {}),
    "int8": ("ORTModelForFeatureExtraction", "feature-extraction", "int8", {}),
    "token-classification": ("ORTModelForTokenClassification", "token-classification", "float32", {}),
    "feature-extraction": ("ORTModelForFeatureExtraction", "feature-extraction", "float32", {}),
    "question-answering": ("ORTModelForQuestionAnswering", "question-answering", "float32", {}),
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def optimum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of an environment with Optimum; gone afterwards, for it is large."""
    folder = tmp_path_factory.mktemp("optimum") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin/python"
    requirements = HERE / "optimum-requirements.txt"
    # Few of the files are ever imported: those are compiled then.
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
    pip += ["--disable-pip-version-check", "--no-cache-dir"]
    subprocess.run([*pip, "--requirement", str(requirements)], check=True)
    yield python
    shutil.rmtree(folder)


def run(python: Path, arguments: list[str], folder: Path) -> str:
    """Without the hub: everything has to be in the bundle."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [str(python), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def answers(
    optimum: Path, exports: Exports, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Bundle and Optimum's answers, by the names of ``BUNDLES``; one process, because it starts slowly."""
    folder = tmp_path_factory.mktemp("optimum-answers")
    bundles = {
        name: exports(task, recipe, target="onnx", **more).bundle
        for name, (_, task, recipe, more) in BUNDLES.items()
    }
    requests = [
        {"class": BUNDLES[name][0], "bundle": str(bundle), "texts": TEXTS} for name, bundle in bundles.items()
    ]
    (folder / "requests.json").write_text(json.dumps(requests), encoding="utf-8")
    printed = json.loads(run(optimum, [str(HERE / "optimum_client.py"), "requests.json"], folder))
    return {name: (bundles[name], found) for name, found in zip(bundles, printed, strict=True)}


@pytest.mark.parametrize("name", BUNDLES)
def test_optimum_answers_what_our_runtime_answers(
    answers: dict[str, tuple[Path, dict[str, Any]]], name: str
) -> None:
    bundle, found = answers[name]
    padded = 0
    with load(bundle) as model:
        for index, text in enumerate(TEXTS):
            inputs = model.encode(text).inputs
            tokens = inputs["input_ids"].shape[1]
            expected = model.run(inputs)
            ways = [(found["alone"][index], 0)]
            # An 8-bit range is that of the whole batch, so only alone are the answers the same.
            if name != "int8":
                ways.append((found["batch"], index))
            for answered, row in ways:
                padded += len(answered["inputs"]["input_ids"][row]) - tokens
                for each, values in inputs.items():
                    assert answered["inputs"][each][row][:tokens] == values[0].tolist()
                for output, values in answered["outputs"].items():
                    actual = np.array(values[row])
                    if actual.shape != expected[output][0].shape:
                        actual = actual[:tokens]
                    np.testing.assert_allclose(actual, expected[output][0], rtol=0, atol=WITHIN)
    assert padded > 0 or name == "int8"
    assert answers[name][1]["batch"]["outputs"].keys() <= expected.keys()


def test_the_example_of_the_docs_runs(optimum: Path, exports: Exports, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    (named,) = re.findall(r'"artifacts/([^"]+)"', script)
    (tmp_path / "artifacts").mkdir()
    bundle = exports("fill-mask", "int8", target="onnx", full_logits=True).bundle
    (tmp_path / "artifacts" / named).symlink_to(bundle)
    assert run(optimum, ["-c", script], tmp_path).strip()
