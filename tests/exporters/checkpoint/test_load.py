"""A checkpoint becomes the network's state, or one line says which tensor does not fit and why."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForMaskedLM, BertForPreTraining

import bertmobile_export.checkpoint as checkpoint_package
from bertmobile.errors import CheckpointError, UsageError
from bertmobile_export.checkpoint import Checkpoint, load_checkpoint, locate
from bertmobile_export.network import Network
from tests.checkpoints import MODELS, make_checkpoint, make_model, vocabulary, write_tokenizer
from tests.messages import error_of

TABLE = "bert.embeddings.word_embeddings.weight"
DECODER = "cls.predictions.decoder.weight"


def change(folder: Path, **tensors: Tensor | None) -> Path:
    """Replace tensors of ``model.safetensors``; None removes one."""
    path = folder / "model.safetensors"
    # Copies, because the file that load_file maps is written over.
    state: dict[str, Tensor | None] = {name: tensor.clone() for name, tensor in load_file(path).items()}
    state.update(tensors)
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, path, {"format": "pt"})
    return folder


def change_config(folder: Path, **fields: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return folder


def network(checkpoint: Checkpoint) -> Network:
    with torch.device("meta"):
        module = Network(checkpoint.config, checkpoint.task, full_logits=True)
    module.load_state_dict(checkpoint.network_state, assign=True)
    return module.eval()


def load_error(folder: Path, task: str | None = None) -> str:
    return error_of(CheckpointError, load_checkpoint, str(folder), task=task)


@pytest.mark.parametrize("task", MODELS)
def test_a_folder_becomes_a_checkpoint(task: str, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "tiny-bert", task)
    checkpoint = load_checkpoint(str(folder))
    assert checkpoint.task == task
    assert checkpoint.trained
    assert (checkpoint.location.folder, checkpoint.location.model) == (folder, "tiny-bert")
    assert checkpoint.location.revision is None
    assert checkpoint.tokenizer.spec.vocab_size == checkpoint.config.vocab_size
    assert checkpoint.network_state.keys() == network(checkpoint).state_dict().keys()


def test_the_package_exports_what_it_names() -> None:
    assert all(hasattr(checkpoint_package, name) for name in checkpoint_package.__all__)
    assert not hasattr(checkpoint_package, "nothing")


def test_an_untrained_checkpoint_is_recognised(tmp_path: Path) -> None:
    assert not load_checkpoint(str(make_checkpoint(tmp_path, "fill-mask", trained=False))).trained


def test_the_hash_is_of_the_tensors_that_the_task_uses(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "fill-mask")
    first = load_checkpoint(str(folder)).weights_sha256
    change(folder, **{"unused.weight": torch.ones(3)})
    assert load_checkpoint(str(folder)).weights_sha256 == first
    change(folder, **{"cls.predictions.bias": torch.ones(len(vocabulary()))})
    assert load_checkpoint(str(folder)).weights_sha256 != first
    assert load_checkpoint(str(folder), task="feature-extraction").weights_sha256 != first


def test_the_heads_of_pretraining(tmp_path: Path) -> None:
    tokens = vocabulary()
    config = make_model("fill-mask", vocab_size=len(tokens)).config
    BertForPreTraining(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path, tokens)
    assert load_checkpoint(str(tmp_path)).task == "fill-mask"
    assert load_checkpoint(str(tmp_path), task="next-sentence").task == "next-sentence"
    message = load_error(tmp_path, "question-answering")
    assert "the head for question-answering is missing (qa_outputs.weight)" in message
    assert "has heads for fill-mask, next-sentence, feature-extraction; choose one with --task" in message


def test_an_unknown_task(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "fill-mask")
    assert "unknown task" in error_of(UsageError, load_checkpoint, str(folder), task="chat")


def test_a_missing_encoder_tensor(tmp_path: Path) -> None:
    name = "bert.encoder.layer.1.attention.self.key.bias"
    message = load_error(change(make_checkpoint(tmp_path, "fill-mask"), **{name: None}))
    assert "encoder tensor encoder.layer.1.attention.self.key.bias is missing (1 in all)" in message
    assert "use the config.json and weights of the same checkpoint" in message


def test_more_layers_in_the_config_than_in_the_weights(tmp_path: Path) -> None:
    message = load_error(change_config(make_checkpoint(tmp_path, "fill-mask"), num_hidden_layers=3))
    assert "encoder tensor encoder.layer.2." in message
    assert "counts 3 layers and the weights hold 2" in message


@pytest.mark.parametrize(
    ("field", "value", "tensor", "cause"),
    [
        ("hidden_size", 64, "embeddings.word_embeddings.weight has shape (446, 32)", "hidden_size"),
        ("vocab_size", 500, "config.json implies (500, 32)", "vocab_size"),
        ("intermediate_size", 128, "intermediate.dense.weight has shape (64, 32)", "intermediate_size"),
        ("max_position_embeddings", 256, "embeddings.position_embeddings.weight", "max_position_embeddings"),
        ("type_vocab_size", 1, "embeddings.token_type_embeddings.weight", "type_vocab_size"),
    ],
)
def test_another_shape_than_the_config_implies(
    field: str, value: int, tensor: str, cause: str, tmp_path: Path
) -> None:
    message = load_error(change_config(make_checkpoint(tmp_path, "fill-mask"), **{field: value}))
    assert tensor in message
    assert f"check {cause}" in message or f"and {cause} in config.json" in message


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_more_labels_than_rows(task: str, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, task, num_labels=3)
    message = load_error(change_config(folder, id2label={"0": "a", "1": "b"}))
    assert "classifier.weight has shape (3, 32), one row for each label, but config.json names 2" in message
    assert "correct its id2label" in message


def test_a_classifier_of_another_width(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "token-classification")
    message = load_error(change(folder, **{"classifier.weight": torch.zeros(2, 16)}))
    assert "classifier.weight has shape (2, 16), config.json implies (2, 32); check hidden_size" in message


def test_a_question_answering_head_with_another_number_of_rows(tmp_path: Path) -> None:
    message = load_error(make_checkpoint(tmp_path, "question-answering", num_labels=3))
    assert "qa_outputs.weight has shape (3, 32), config.json implies (2, 32)" in message


def assert_ties_as_transformers(folder: Path, *, tied: bool) -> Network:
    """Load both ways; the network that is returned gives the model's logits."""
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) is tied
    checkpoint = load_checkpoint(str(folder))
    assert checkpoint.config.tie_word_embeddings is tied
    module = network(checkpoint)
    assert (module.head.decoder.weight is module.encoder.embeddings.word.weight) is tied
    ids = torch.arange(9, 29)[None]
    with torch.no_grad():
        found = module(ids, torch.ones_like(ids), torch.zeros_like(ids))["logits"]
        torch.testing.assert_close(found, model(input_ids=ids).logits, rtol=0, atol=1e-5)
    return module


def test_a_decoder_equal_to_the_table_is_tied(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "fill-mask")
    table = load_file(folder / "model.safetensors")[TABLE]
    assert_ties_as_transformers(change(folder, **{DECODER: table.clone()}), tied=True)


def test_a_decoder_that_differs_is_not_tied_whatever_the_config_says(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "fill-mask")
    table = load_file(folder / "model.safetensors")[TABLE]
    assert_ties_as_transformers(change(folder, **{DECODER: table.flip(0)}), tied=False)


def test_a_decoder_alone_is_the_table_too(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "fill-mask")
    table = load_file(folder / "model.safetensors")[TABLE]
    assert_ties_as_transformers(change(folder, **{TABLE: None, DECODER: table}), tied=True)


def test_equal_tables_stay_apart_where_the_config_says_so(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "fill-mask", tie_word_embeddings=False)
    table = load_file(folder / "model.safetensors")[TABLE]
    assert_ties_as_transformers(change(folder, **{DECODER: table.clone()}), tied=False)


def test_an_untied_decoder_that_is_missing(tmp_path: Path) -> None:
    message = load_error(change_config(make_checkpoint(tmp_path, "fill-mask"), tie_word_embeddings=False))
    assert f"{DECODER} is missing" in message
    assert "set tie_word_embeddings to true" in message


def test_neither_table_nor_decoder(tmp_path: Path) -> None:
    message = load_error(change(make_checkpoint(tmp_path, "fill-mask"), **{TABLE: None}))
    assert "encoder tensor embeddings.word_embeddings.weight is missing" in message


def test_a_folder_is_named_by_its_base_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bert-mobile"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for model in (".", str(folder), f"{folder}/", "../bert-mobile"):
        location = locate(model)
        assert (location.model, location.revision) == ("bert-mobile", None)
        assert location.folder.resolve() == folder
    assert locate("/").model == "model"


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    message = error_of(UsageError, locate, str(tmp_path), revision="main")
    assert "a revision applies to hub ids only" in message
    assert "leave it out" in message


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    message = error_of(CheckpointError, locate, str(path))
    assert "is a file; give the folder" in message
