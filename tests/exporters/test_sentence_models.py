"""A sentence-transformers folder becomes a bundle that answers as that library does, and is held to it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers.base.modules import Dense, Normalize

import bertmobile
from bertmobile.errors import UsageError
from bertmobile_export.parity import sentence_reference
from bertmobile_export.parity.reference import load_reference
from bertmobile_export.plan import default_lengths
from bertmobile_export.texts import PER_BUCKET, Sample, TextSet
from tests.exporters.configs import make_config
from tests.exports import here
from tests.sentence_models import (
    MODES,
    PROMPTS,
    TEXTS,
    edit,
    into_folder,
    make_sentence_model,
    oracle,
    seeded,
)

TARGETS = ("onnx", "coreml", pytest.param("tflite", marks=pytest.mark.slow))


def parity_of(bundle: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((bundle / "parity.json").read_text())
    return document


def check(folder: Path, output: Path, target: str = "onnx", **request: Any) -> bertmobile.Model:
    """Export, and compare what the bundle and the library answer under every prompt."""
    result = here(folder, "float32", target, output, **request)
    assert not result.failures
    model, expected = bertmobile.load(result.bundle), oracle(folder)
    for options in ({}, {"prompt": "a sentence: "}, *({"prompt_name": name} for name in expected.prompts)):
        np.testing.assert_allclose(
            model.embed(TEXTS, **options), expected.encode(list(TEXTS), **options), atol=1e-4
        )
    return model


@pytest.mark.parametrize("target", TARGETS)
def test_every_mode_under_prompts_that_are_left_out(target: str, tmp_path: Path) -> None:
    steps = [seeded(Dense, 32 * len(MODES), 24), Normalize()]
    folder = make_sentence_model(
        tmp_path / "model",
        MODES,
        steps,
        include_prompt=False,
        prompts=PROMPTS,
        default_prompt_name="passage",
        truncate_dim=20,
    )
    with check(folder, tmp_path, target) as model:
        embedding = model.manifest.embedding
        assert embedding is not None
        assert (embedding.size, embedding.normalized, embedding.pooling) == (20, False, MODES)
        assert [spec.name for spec in model.manifest.inputs][-1] == "pooling_mask"
        nothing = {name: np.zeros_like(values) for name, values in model.encode("a").inputs.items()}
        assert np.isfinite(model.run(nothing)["sentence_embedding"]).all()
        with pytest.raises(UsageError, match="no prompt is called 'tale'; known: query, document, passage"):
            model.embed("a", prompt_name="tale")
        folder_of_bundle = tmp_path / model.manifest.name
    report = parity_of(folder_of_bundle)
    assert report["reference"]["sentence_transformers"] == "6.2.0"
    assert "note" not in report or "sentence-transformers" not in report["note"]
    golden = json.loads((folder_of_bundle / "golden.json").read_text())
    assert all("pooling_mask" in case["inputs"] for case in golden["cases"])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("limit", [16, 17, 100])
def test_the_longest_text_is_the_models_own(limit: int, target: str, tmp_path: Path) -> None:
    folder = make_sentence_model(tmp_path / "model", ("lasttoken",))
    edit(folder / "tokenizer_config.json", model_max_length=limit)
    with check(folder, tmp_path, target) as model:
        assert model.manifest.lengths == default_lengths(make_config(max_length=limit))


def test_longer_than_the_models_own_is_compared_at_that_length(tmp_path: Path) -> None:
    folder = make_sentence_model(tmp_path / "model")
    edit(folder / "sentence_bert_config.json", max_seq_length=16)
    result = here(folder, "float32", "onnx", tmp_path, lengths=(64,))
    assert not result.failures and result.plan.lengths == (64,)
    assert result.parity["texts"]["per_bucket"].keys() == {"64"}
    expected = oracle(folder)
    expected.max_seq_length = 64
    with bertmobile.load(result.bundle) as model:
        np.testing.assert_allclose(model.embed(TEXTS), expected.encode(list(TEXTS)), atol=1e-4)


def test_texts_are_lower_cased_before_a_cased_tokenizer(tmp_path: Path) -> None:
    folder = make_sentence_model(tmp_path / "model", bert={"cased": True})
    edit(folder / "sentence_bert_config.json", do_lower_case=True)
    with check(folder, tmp_path) as model:
        rules = model.manifest.tokenizer
        assert (rules.lower_case, rules.strip_accents) == (True, False)
        texts = ["The London [MASK] PARIS É Å [CLS]", "ÉCOLE İstanbul ΣΑΣ"]
        np.testing.assert_allclose(model.embed(texts), oracle(folder).encode(texts), atol=1e-4)


def test_an_encoder_in_its_own_folder_is_exported_with_what_lies_around_it(tmp_path: Path) -> None:
    folder = into_folder(make_sentence_model(tmp_path / "model", ("max",), [Normalize()]))
    with check(folder, tmp_path) as model:
        assert model.manifest.embedding is not None and model.manifest.embedding.pooling == ("max",)
        assert (tmp_path / model.manifest.name / "config.json").exists()


def test_without_the_library_parity_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_sentence_model(tmp_path / "model", MODES, [seeded(Dense, 192, 8)], include_prompt=False)
    assert sentence_reference.is_installed()
    monkeypatch.setattr(sentence_reference, "is_installed", lambda: False)
    result = here(folder, "float32", "onnx", tmp_path)
    assert not result.failures
    assert "sentence-transformers is not installed" in result.parity["note"]
    assert "sentence_transformers" not in result.parity["reference"]


def test_the_reference_of_such_a_folder_is_that_library(tmp_path: Path) -> None:
    from bertmobile_export.checkpoint import read_config

    folder = make_sentence_model(tmp_path / "model", ("lasttoken",), include_prompt=False, prompts=PROMPTS)
    reference = load_reference(folder, read_config(folder), "feature-extraction")
    prompt, text = PROMPTS["passage"], TEXTS[0]
    ids = np.array([reference.token_ids(prompt + text, None, 128)])
    pooled = np.ones_like(ids)
    pooled[:, : reference.prompt_length(prompt, 128)] = 0
    found = reference.run(ids, np.zeros_like(ids), pooling_mask=pooled)["sentence_embedding"]
    expected = oracle(folder).encode([text], prompt_name="passage")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parity_reads_some_texts_again_under_each_prompt() -> None:
    texts = TextSet(tuple(Sample(f"text {number}") for number in range(64)), "builtin")
    again = texts.with_prompts(["", "query: ", "", "passage: ", "query: "]).samples[64:]
    assert len(again) == PER_BUCKET
    assert {sample.prompt for sample in again} == {"query: ", "passage: "}
    assert texts.with_prompts([""]) is texts
