"""A sentence-transformers folder as that library runs it: what such a folder means is defined there.

Without the library the token states still are transformers' own, but the vector is made of them by the
network's modules, and the report says so.
"""

import importlib.util
import logging
import os
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.parity.reference import Reference, quiet

LIBRARY = "sentence-transformers"
NOTE = (
    f"{LIBRARY} is not installed: the text vectors were compared with this package's own pooling of the "
    f"states that transformers gives; pip install {LIBRARY} compares them with the model's definition"
)


@dataclass
class SentenceReference(Reference):
    """See :class:`~bertmobile_export.parity.reference.Reference`; ``model`` is a SentenceTransformer."""

    # The tokenizer keeps the limit of its last call.
    _lock: Lock = field(default_factory=Lock)

    def token_ids(self, text: str, pair: str | None, longest: int) -> list[int]:
        ids: list[int] = self._preprocess([text], longest)["input_ids"][0].tolist()
        return ids

    def prompt_length(self, prompt: str, longest: int) -> int:
        features = self._preprocess([""], longest, prompt=prompt)
        return int(features["prompt_length"])

    def _preprocess(self, texts: list[str], longest: int, prompt: str | None = None) -> dict[str, Any]:
        with self._lock:
            # A bundle may be shorter than its source, or longer where that was asked for.
            self.model.max_seq_length = longest
            features: dict[str, Any] = self.model.preprocess(texts, prompt=prompt)
            return features

    def run(
        self,
        input_ids: NDArray[Any],
        token_type_ids: NDArray[Any],
        positions: list[int] | None = None,
        pooling_mask: NDArray[Any] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        features = self.inputs(input_ids, token_type_ids)
        if pooling_mask is not None:
            features["prompt_length"] = int((pooling_mask == 0).sum())
        with torch.inference_mode():
            outputs = self.model(features)
            vector = outputs["sentence_embedding"][:, : self.model.truncate_dim]
            return {
                "last_hidden_state": outputs["token_embeddings"].numpy(),
                "sentence_embedding": vector.numpy(),
            }


def is_installed() -> bool:
    """Whether sentence-transformers is there."""
    return importlib.util.find_spec(LIBRARY.replace("-", "_")) is not None


def load_sentence_reference(folder: Path, config: ModelConfig, task: str) -> SentenceReference:
    """Load a whole folder with sentence-transformers, in float32 and without its prompts.

    Args:
        folder: where ``modules.json`` lies.
        config: what was read of it.
        task: feature-extraction.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    quiet()
    from sentence_transformers import SentenceTransformer

    # That a prompt applies unasked is nothing to warn of here.
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    model = SentenceTransformer(
        str(folder),
        device="cpu",
        local_files_only=True,
        model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"},
    )
    return SentenceReference(
        model=model.eval(),
        tokenizer=model.tokenizer,
        task=task,
        config=config,
        versions={"sentence_transformers": version(LIBRARY)},
    )
