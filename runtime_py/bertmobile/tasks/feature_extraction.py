"""feature-extraction: token states, and one vector for a text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertmobile.errors import BundleError
from bertmobile.tasks import Context, Task
from bertmobile.tasks.inputs import always
from bertmobile.tasks.numeric import Floats, as_float32


class FeatureExtraction(Task):
    """``last_hidden_state`` is [1, length, hidden], ``sentence_embedding`` [1, hidden]."""

    name = "feature-extraction"

    def __init__(self, context: Context) -> None:
        if context.manifest.embedding is None:
            raise BundleError(f"{context.manifest.name} does not describe its embedding; export it again")
        self._run = context.run
        self._tokenization = context.tokenization
        self._size = context.manifest.embedding.size

    def answer(
        self, text: str, _: None = None, *, return_tensors: bool = False, truncation: bool = True
    ) -> Any:
        """States of a text's tokens, special ones included.

        Args:
            text: the text.
            return_tensors: give an array.
            truncation: only True: what does not fit the longest bucket is dropped.

        Returns:
            Nested lists of floats, [1, tokens, hidden]; with ``return_tensors`` such a float32 array.

        Raises:
            UsageError: an option is wrong.
        """
        always("truncation", truncation)
        encoded = self._tokenization.encode(text)
        states = as_float32(self._run(encoded.inputs)["last_hidden_state"])[:, : len(encoded)]
        return np.ascontiguousarray(states) if return_tensors else states.tolist()

    def embed(self, texts: Sequence[str]) -> Floats:
        """Pooled vectors, float32 [n, hidden]."""
        vectors = np.empty((len(texts), self._size), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[:] = self._run(self._tokenization.encode(text).inputs)["sentence_embedding"][0]
        return vectors
