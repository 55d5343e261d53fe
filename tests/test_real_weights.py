"""A real sentence encoder, MiniLM (6 layers of 384), at 8 bits: small, and still the same model."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bertmobile import load
from bertmobile.bundle import verify_bundle
from bertmobile.manifest import read_manifest
from bertmobile_export.texts import builtin_texts
from tests.exports import BIN, Exports
from tests.runtime_py.helpers import tokenizer_folder
from tests.test_shown_output import BUNDLE, ONE_TARGET, as_shown

MEAN_COSINE = 0.9965
WORST_COSINE = 0.990
# 22.7 M parameters; a byte each, and little else.
LARGEST_BYTES = 24_000_000


@pytest.fixture(scope="module")
def source() -> Path:
    return tokenizer_folder()


@pytest.fixture(scope="module")
def bundle(exports: Exports) -> Path:
    """Made by the README's first export."""
    return as_shown(exports, ONE_TARGET).folder / BUNDLE


def reference_embeddings(source: Path, texts: list[str], longest: int) -> NDArray[np.float32]:
    """Mean pooling and normalisation as the model's card has them."""
    import torch

    model = transformers.AutoModel.from_pretrained(source).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    rows = []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
        with torch.inference_mode():
            mean = model(**inputs).last_hidden_state[0].mean(0)
        rows.append(torch.nn.functional.normalize(mean, dim=0).numpy())
    return np.array(rows)


def test_the_real_tokenizer_and_config_give_a_plan_for_8_bits(source: Path, capsys: Any) -> None:
    """The one quick test: what the export would make, without converting."""
    from bertmobile_export.cli.export import main

    assert main(["--target", "tflite", "--int8", "--model", str(source), "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "feature-extraction" and document["lengths"] == [32, 64, 128, 256]
    assert 22_700_000 < document["recipes"]["int8"] < LARGEST_BYTES


@pytest.mark.slow
def test_the_export_passes_and_is_a_quarter_of_the_size(source: Path, bundle: Path) -> None:
    manifest = read_manifest(bundle)
    verify_bundle(bundle, manifest, allow_unverified=False)
    assert manifest.source.trained and manifest.source.model == "model"
    assert manifest.model_bytes == (bundle / "model.tflite").stat().st_size < LARGEST_BYTES
    assert manifest.model_bytes < 0.27 * (source / "model.safetensors").stat().st_size
    parity = json.loads((bundle / "parity.json").read_text("utf-8"))
    assert parity["verdict"] == manifest.verdict == "passed" and parity["trained"] is True


@pytest.mark.slow
def test_embeddings_stay_close_to_float32(source: Path, bundle: Path) -> None:
    with load(bundle, threads=2) as model:
        lengths = model.manifest.lengths
        tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        chosen = builtin_texts(
            "parity", "feature-extraction", tokenizer, lengths, mask_token="[MASK]", mask_slots=None
        )
        texts = [sample.text for sample in chosen.samples]
        assert len(texts) >= 128
        actual = model.embed(texts)
    expected = reference_embeddings(source, texts, lengths[-1])
    cosines = (actual * expected).sum(1) / np.linalg.norm(actual, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.mean() >= MEAN_COSINE
    assert cosines.min() >= WORST_COSINE


@pytest.mark.slow
def test_the_command_prints_a_vector_and_near_meanings_are_near(bundle: Path) -> None:
    texts = [
        "A cat sleeps on the sofa.",
        "A kitten naps on the couch.",
        "Interest rates rose by half a percent.",
    ]
    done = subprocess.run(
        [BIN / "bertmobile-run", bundle, "--embed", *texts, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    vectors = np.array([result["output"] for result in json.loads(done.stdout)["results"]])
    assert vectors.shape == (3, 384)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > 0.6 > 0.2 > vectors[0] @ vectors[2]


@pytest.mark.slow
def test_a_tampered_copy_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / bundle.name)
    with (copy / "model.tflite").open("r+b") as file:
        file.seek(-1_000_000, 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    done = subprocess.run(
        [BIN / "bertmobile-run", copy, "--embed", "a text"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "model.tflite was changed" in done.stderr
