"""Tiny BERT checkpoints, made with transformers, for tests that need a source model."""

import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    PreTrainedModel,
)
from transformers.utils.logging import disable_progress_bar

# Tests read stderr; which of them makes a checkpoint first must not matter.
disable_progress_bar()

MODELS: dict[str, type[PreTrainedModel]] = {
    "fill-mask": BertForMaskedLM,
    "next-sentence": BertForNextSentencePrediction,
    "text-classification": BertForSequenceClassification,
    "token-classification": BertForTokenClassification,
    "question-answering": BertForQuestionAnswering,
    "feature-extraction": BertModel,
}

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}

_WORDS = """the of and to in a is that for it was on are as with his they be at one have this from or had by
word but what some we can out other were all there when up use your how said an each she which do their time
if will way about many then them write would like so these her long make thing see him two has look more day
could go come did number sound no most people my over know water than call first who may down side been now
find any new work part take get place made live where after back little only round man year came show every
good me give our under name very through just form sentence great think say help low line differ turn cause
much mean before move right boy old too same tell does set three want air well also play small end put home
read hand port large spell add even land here must big high such follow act why ask men change went light
kind off need house picture try us again animal point mother world near build self earth father head stand
own page should country found answer school grow study still learn plant cover food sun four between state
keep eye never last let thought city tree cross farm hard start might story saw far sea draw left late run
film bad love hate car street paris london berlin capital france weather rain cold warm"""
_ENDINGS = "s ed ing er est ly ness ment tion able ful less y es en al ity ous ive ize"
_BEYOND_ASCII = "éèàüöäñçßøåœ中国人日本東京한글русийя€£«»“”‘’—…"


def vocabulary(*, cased: bool = False) -> list[str]:
    """A WordPiece vocabulary that spells any English text: special tokens, characters, words and endings."""
    characters = string.digits + string.punctuation + string.ascii_lowercase + _BEYOND_ASCII
    words = _WORDS.split()
    if cased:
        characters += string.ascii_uppercase
        words += [word.capitalize() for word in words]
    tokens = ["[PAD]", *(f"[unused{index}]" for index in range(4)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += characters
    tokens += [f"##{character}" for character in characters if character.isalnum()]
    tokens += words
    tokens += [f"##{ending}" for ending in _ENDINGS.split()]
    return list(dict.fromkeys(tokens))


def make_model(task: str, *, trained: bool = True, seed: int = 0, **config: Any) -> PreTrainedModel:
    """A transformers model; ``trained`` gives it weights with a spread that real ones have."""
    torch.manual_seed(seed)
    model = MODELS[task](BertConfig(**{**TINY, **config})).eval()
    if trained:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("LayerNorm.weight"):
                    parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
                elif name.endswith("bias") or "embeddings" in name:
                    parameter.copy_(0.2 * torch.randn_like(parameter))
                else:
                    parameter.copy_(0.7 * parameter.shape[-1] ** -0.5 * torch.randn_like(parameter))
    return model


def write_tokenizer(folder: Path, tokens: Sequence[str], **settings: Any) -> None:
    """Write ``vocab.txt`` and a ``tokenizer_config.json`` with ``settings``."""
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    document = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(document), encoding="utf-8")


def make_checkpoint(
    folder: Path,
    task: str,
    *,
    trained: bool = True,
    cased: bool = False,
    tokens: Sequence[str] | None = None,
    seed: int = 0,
    **config_overrides: Any,
) -> Path:
    """Write a tiny checkpoint: config, safetensors, vocabulary and tokenizer settings.

    Args:
        folder: made if it does not exist.
        task: a task of ``MODELS``.
        trained: False leaves transformers' initialisation.
        cased: an upper- and lower-case vocabulary that is not lower-cased.
        tokens: another vocabulary than :func:`vocabulary`'s.
        seed: of the random weights.
        config_overrides: fields of BertConfig, such as ``hidden_size`` or ``num_labels``.

    Returns:
        ``folder``.
    """
    tokens = vocabulary(cased=cased) if tokens is None else tokens
    model = make_model(task, trained=trained, seed=seed, **{"vocab_size": len(tokens), **config_overrides})
    model.save_pretrained(folder)
    write_tokenizer(folder, tokens, do_lower_case=not cased)
    return folder
