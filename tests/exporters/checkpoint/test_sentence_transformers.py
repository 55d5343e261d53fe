"""A sentence-transformers folder is read whole, as that library reads it, or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint import load_checkpoint, read_config
from bertmobile_export.checkpoint.sentence_transformers import Dense as DenseData
from bertmobile_export.checkpoint.sentence_transformers import (
    Norm,
    Pooling,
    SentenceEmbedding,
)
from bertmobile_export.checkpoint.sentence_transformers import Normalize as NormalizeData
from tests.checkpoints import make_checkpoint
from tests.messages import error_of
from tests.sentence_models import PROMPTS, edit, into_folder, make_sentence_model, oracle, seeded


def saved(folder: Path, **more: Any) -> Path:
    return make_sentence_model(folder / "model", **more)


def refusal(folder: Path) -> str:
    return error_of(CheckpointError, read_config, folder)


def embedding(folder: Path) -> SentenceEmbedding:
    return read_config(folder).embedding


def test_every_module_that_the_library_saves(tmp_path: Path) -> None:
    steps = [
        Dropout(0.5),
        Dense(64, 16, bias=False, activation_function=torch.nn.GELU()),
        Normalize(),
        Dense(16, 12, activation_function=torch.nn.Identity(), use_residual=True),
        LayerNorm(12),
    ]
    folder = saved(
        tmp_path,
        modes=("max", "lasttoken"),
        steps=steps,
        include_prompt=False,
        prompts=PROMPTS,
        default_prompt_name="query",
        similarity_fn_name="dot",
        truncate_dim=8,
    )
    found = embedding(folder)
    assert found == SentenceEmbedding(
        pooling=Pooling(("max", "lasttoken"), include_prompt=False),
        steps=(
            DenseData("3_Dense", 64, 16, bias=False, activation="GELU"),
            NormalizeData(),
            DenseData("5_Dense", 16, 12, activation="Identity", residual=True),
            Norm("6_LayerNorm", 12),
        ),
        truncate=8,
        prompts={**PROMPTS, "document": ""},
        default_prompt="query",
        similarity="dot",
    )
    assert found.prompts == oracle(folder).prompts
    assert found.size(32) == 8 and not found.normalized(32)


@pytest.mark.parametrize("truncate", [None, 12, 40])
def test_a_vector_that_is_cut_has_no_length_of_one(truncate: int | None, tmp_path: Path) -> None:
    found = embedding(saved(tmp_path, steps=[Normalize()], truncate_dim=truncate))
    assert (found.size(32), found.normalized(32)) == ((12, False) if truncate == 12 else (32, True))


@pytest.mark.parametrize(
    ("raw", "modes"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ("cls",)),
        ({"pooling_mode_mean_tokens": False}, ("mean",)),
        ({"pooling_mode_lasttoken": True, "pooling_mode_max_tokens": True}, ("max", "lasttoken")),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, ("mean_sqrt_len_tokens",)),
        ({"pooling_mode_weightedmean_tokens": True}, ("weightedmean",)),
        ({"pooling_mode": "cls"}, ("cls",)),
        ({"pooling_mode": ["mean", "cls"]}, ("mean", "cls")),
        ({"pooling_mode": "max", "pooling_mode_cls_token": True}, ("max",)),
    ],
)
def test_both_spellings_of_a_pooling(raw: dict[str, Any], modes: tuple[str, ...], tmp_path: Path) -> None:
    folder = saved(tmp_path)
    (folder / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 32, **raw}))
    assert embedding(folder).pooling.modes == modes
    named = oracle(folder)[1].pooling_mode
    assert ((named,) if isinstance(named, str) else named) == modes


@pytest.mark.parametrize("limit", [16, 300])
@pytest.mark.parametrize("place", ["sentence_bert_config.json", "sentence_roberta_config.json", "tokenizer"])
def test_the_limit_of_a_text(limit: int, place: str, tmp_path: Path) -> None:
    folder = saved(tmp_path)
    if place == "tokenizer":
        edit(folder / "tokenizer_config.json", model_max_length=limit)
    else:
        # An older release's file, beside a tokenizer that says otherwise.
        (folder / "sentence_bert_config.json").unlink()
        edit(folder / place, max_seq_length=limit, do_lower_case=False)
        edit(folder / "tokenizer_config.json", model_max_length=77)
    assert read_config(folder).longest == min(oracle(folder).max_seq_length, 128)


def test_the_limit_among_the_arguments_of_the_tokenizer_comes_first(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    edit(folder / "sentence_bert_config.json", max_seq_length=20, tokenizer_args={"model_max_length": 30})
    assert read_config(folder).longest == oracle(folder).max_seq_length == 30


@pytest.mark.parametrize(("limit", "longest"), [(12, 12), (10**30, 128), (1e30, 128), (None, 128)])
def test_the_limit_of_any_tokenizer(limit: float | None, longest: int, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "plain", "text-classification")
    edit(folder / "tokenizer_config.json", model_max_length=limit)
    assert read_config(folder).longest == longest


@pytest.mark.parametrize("limit", [0, -1, "many", True])
def test_a_limit_that_is_none(limit: object, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "plain", "text-classification")
    edit(folder / "tokenizer_config.json", model_max_length=limit)
    assert "model_max_length must be a positive number" in refusal(folder)


def test_an_encoder_in_its_own_folder(tmp_path: Path) -> None:
    folder = into_folder(saved(tmp_path, modes=("cls",)))
    edit(folder / "0_Transformer/sentence_bert_config.json", max_seq_length=20)
    config = read_config(folder)
    assert (config.encoder, config.longest, config.embedding.pooling.modes) == ("0_Transformer", 20, ("cls",))
    # The inner folder by itself is no sentence-transformers model: that library pools it by the mean, too.
    inner = read_config(folder / "0_Transformer")
    assert not inner.is_sentence_model and inner.embedding == SentenceEmbedding()


def test_what_lies_beside_no_modules_is_not_read(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "plain", "feature-extraction")
    edit(folder / "sentence_bert_config.json", max_seq_length=16)
    edit(folder / "config_sentence_transformers.json", default_prompt_name="query", prompts=PROMPTS)
    assert read_config(folder).longest == oracle(folder).max_seq_length == 128
    assert embedding(folder).default_text == ""


def test_a_cross_encoder_has_modules_too(tmp_path: Path) -> None:
    source = make_checkpoint(tmp_path / "pair", "text-classification", num_labels=1)
    folder = tmp_path / "cross"
    CrossEncoder(str(source), device="cpu").save_pretrained(str(folder))
    assert (folder / "modules.json").exists()
    config = read_config(folder)
    assert config.architecture == "BertForSequenceClassification" and not config.is_sentence_model
    edit(folder / "config_sentence_transformers.json", prompts=PROMPTS, default_prompt_name="query")
    assert "default_prompt_name 'query' puts a prompt before what a cross-encoder compares" in refusal(folder)


@pytest.mark.parametrize(
    ("file", "changes", "named"),
    [
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "model_type SparseEncoder"),
        ("config_sentence_transformers.json", {"query_prefix": "[Q] "}, "query_prefix"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "maxsim"}, "similarity_fn_name"),
        ("config_sentence_transformers.json", {"default_prompt_name": "tale"}, "default_prompt_name"),
        ("config_sentence_transformers.json", {"prompts": {"query": 3}}, "the prompt query"),
        ("config_sentence_transformers.json", {"truncate_dim": 0}, "truncate_dim"),
        ("sentence_bert_config.json", {"max_seq_length": 0}, "max_seq_length"),
        ("sentence_bert_config.json", {"do_lower_case": "yes"}, "do_lower_case"),
        ("sentence_bert_config.json", {"query_length": 32}, "query_length"),
        (
            "sentence_bert_config.json",
            {"processing_kwargs": {"text": {"max_length": 9}}},
            "processing_kwargs",
        ),
        ("sentence_bert_config.json", {"model_args": {"num_hidden_layers": 1}}, "num_hidden_layers"),
        ("sentence_bert_config.json", {"tokenizer_args": {"do_lower_case": False}}, "do_lower_case"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task"),
        ("sentence_bert_config.json", {"module_output_name": "sentence_embedding"}, "module_output_name"),
        ("1_Pooling/config.json", {"pooling_mode": "attention"}, "pooling_mode"),
        ("1_Pooling/config.json", {"pooling_mode": []}, "pooling_mode"),
        ("1_Pooling/config.json", {"include_prompt": 1}, "include_prompt"),
        ("1_Pooling/config.json", {"pooling_mode_median": True}, "pooling_mode_median"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Softmax"}, "Softmax"),
        ("2_Dense/config.json", {"activation_function": "mine.Tanh"}, "mine.Tanh"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "token_embeddings"),
        ("2_Dense/config.json", {"module_output_name": "projected"}, "projected"),
        ("2_Dense/config.json", {"temperature": 2}, "temperature"),
        ("2_Dense/config.json", {"in_features": 31}, "is for vectors of 31 numbers"),
        ("2_Dense/config.json", {"out_features": None}, "out_features"),
        ("3_Normalize/config.json", {"module_input_name": "token_embeddings"}, "token_embeddings"),
    ],
)
def test_a_key_that_is_not_understood_is_named(
    file: str, changes: dict[str, Any], named: str, tmp_path: Path
) -> None:
    folder = saved(tmp_path, steps=[seeded(Dense, 32, 16), Normalize()])
    edit(folder / file, **changes)
    message = refusal(folder)
    assert named in message and file.rpartition("/")[2] in message


@pytest.mark.parametrize(
    ("kinds", "named"),
    [
        (["models.Transformer", "models.WordWeights", "models.Pooling"], "a WordWeights module"),
        (["models.Transformer", "models.Dense", "models.Pooling"], "a Dense module at this place"),
        (["models.Transformer", "models.Pooling", "models.Pooling"], "a Pooling module at this place"),
        (["models.Transformer"], "there is no Pooling module"),
        (["models.WordEmbeddings", "models.Pooling"], "its first module is WordEmbeddings"),
    ],
)
def test_modules_that_are_not_understood_are_named(kinds: list[str], named: str, tmp_path: Path) -> None:
    folder = saved(tmp_path)
    places = ["" if kind.endswith("Transformer") else "1_Pooling" for kind in kinds]
    modules = [
        {"path": place, "type": f"sentence_transformers.{kind}"}
        for place, kind in zip(places, kinds, strict=True)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    message = refusal(folder)
    assert named in message and "remove modules.json" in message


def test_code_of_a_models_own_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    edit_modules = json.loads((folder / "modules.json").read_text())
    edit_modules[0]["type"] = "custom_st.Transformer"
    (folder / "modules.json").write_text(json.dumps(edit_modules))
    assert "the module custom_st.Transformer is code of its own, which is not run" in refusal(folder)


@pytest.mark.parametrize("content", ["{", "{}x", '[{"path": ""}]', "[1]", "3"])
def test_invalid_modules(content: str, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "plain", "feature-extraction")
    (folder / "modules.json").write_text(content)
    assert "modules.json is not a list of sentence-transformers modules" in refusal(folder)


@pytest.mark.parametrize("place", ["../1_Pooling", "/1_Pooling", "1_Pooling/.."])
def test_modules_outside_the_folder(place: str, tmp_path: Path) -> None:
    folder = saved(tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = place
    (folder / "modules.json").write_text(json.dumps(modules))
    assert "leaves the folder" in refusal(folder)


def test_a_pooling_module_without_its_config(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    (folder / "1_Pooling/config.json").unlink()
    assert "config.json is missing" in refusal(folder)


def test_the_weights_of_modules_are_part_of_the_model(tmp_path: Path) -> None:
    folder = saved(tmp_path, steps=[seeded(Dense, 32, 16)])
    first = load_checkpoint(str(folder))
    path = folder / "2_Dense/model.safetensors"
    weights = load_file(path)
    torch.testing.assert_close(first.network_state["head.steps.0.linear.weight"], weights["linear.weight"])
    save_file({**weights, "linear.bias": weights["linear.bias"] + 1}, path)
    assert load_checkpoint(str(folder)).weights_sha256 != first.weights_sha256


def test_modules_without_the_weights_they_ask_for(tmp_path: Path) -> None:
    folder = saved(tmp_path, steps=[seeded(Dense, 32, 16)])
    path = folder / "2_Dense/model.safetensors"
    weights = load_file(path)
    save_file({"linear.weight": weights["linear.weight"]}, path)
    assert "linear.bias is not among the weights" in error_of(CheckpointError, load_checkpoint, str(folder))
    save_file({**weights, "linear.weight": weights["linear.weight"][:, :8].contiguous()}, path)
    assert "2_Dense/linear.weight has shape (16, 8)" in error_of(
        CheckpointError, load_checkpoint, str(folder)
    )
    path.unlink()
    assert "2_Dense has no weights" in error_of(CheckpointError, load_checkpoint, str(folder))


def test_random_modules_show_no_training(tmp_path: Path) -> None:
    """Their biases begin at random, and the encoder's at 0."""
    folder = saved(tmp_path, steps=[seeded(Dense, 32, 16)], bert={"trained": False})
    assert not load_checkpoint(str(folder)).trained
