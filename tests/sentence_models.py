"""Tiny sentence-transformers models, saved by that library, which is also their oracle."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import nn

from tests.checkpoints import make_checkpoint

# That a prompt applies unasked is nothing to warn of here.
logging.getLogger("sentence_transformers").setLevel(logging.ERROR)

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
PROMPTS = {"query": "query: ", "passage": "the page of a book in the city: "}
TEXTS = ("The water was good.", "w", "", "my people " * 5, "How did you find the paper in London? " * 30)


def make_sentence_model(
    folder: Path,
    modes: Sequence[str] = ("mean",),
    steps: Sequence[nn.Module] = (),
    *,
    include_prompt: bool = True,
    bert: dict[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """Save a model with random weights.

    Args:
        folder: made if it does not exist.
        modes: of the pooling.
        steps: modules behind the pooling.
        include_prompt: of the pooling.
        bert: fields of BertConfig.
        settings: of SentenceTransformer, such as ``prompts``.
    """
    encoder = make_checkpoint(
        folder.with_name(f"{folder.name}-encoder"), "feature-extraction", **(bert or {})
    )
    transformer = Transformer(str(encoder))
    size = transformer.get_embedding_dimension()
    modules = [transformer, Pooling(size, list(modes), include_prompt=include_prompt), *steps]
    SentenceTransformer(modules=modules, device="cpu", **settings).save(str(folder), create_model_card=False)
    return folder


def oracle(folder: Path) -> SentenceTransformer:
    """The folder as sentence-transformers loads it."""
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def edit(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file, which may not be there yet."""
    document = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**document, **changes}))


def into_folder(folder: Path, place: str = "0_Transformer") -> Path:
    """Move the encoder and its tokenizer into a folder of their own, as older releases saved them."""
    (folder / place).mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(folder / place / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = place
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def seeded(make: Any, *arguments: Any, **more: Any) -> nn.Module:
    """A module whose random weights are the same each time."""
    torch.manual_seed(0)
    module: nn.Module = make(*arguments, **more)
    return module
