"""feature-extraction: token states, and one vector for a text."""

from collections.abc import Sequence

import numpy as np

from bertmobile.errors import BundleError
from bertmobile.tasks import Context
from bertmobile.tasks.inputs import Fields
from bertmobile.tasks.numeric import Floats, as_float32


class FeatureExtraction:
    """``last_hidden_state`` is [1, length, hidden], ``sentence_embedding`` [1, hidden]."""

    fields = Fields()

    def __init__(self, context: Context) -> None:
        if context.manifest.embedding is None:
            raise BundleError(f"{context.manifest.name} does not describe its embedding; export it again")
        self._run = context.run
        self._tokenization = context.tokenization
        self._size = context.manifest.embedding.size

    def answer(self, text: str, _: None = None) -> Floats:
        """States of a text's tokens, special ones included: float32 [1, tokens, hidden]."""
        encoded = self._tokenization.encode(text)
        states = as_float32(self._run(encoded.inputs)["last_hidden_state"])
        return np.ascontiguousarray(states[:, : len(encoded)])

    def embed(self, texts: Sequence[str]) -> Floats:
        """Pooled vectors, float32 [n, hidden]."""
        vectors = np.empty((len(texts), self._size), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[:] = self._run(self._tokenization.encode(text).inputs)["sentence_embedding"][0]
        return vectors
