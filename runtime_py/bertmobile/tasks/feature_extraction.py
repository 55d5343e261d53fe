"""feature-extraction: token states, and one vector for a text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertmobile.errors import BundleError, UsageError
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
        self._embedding = context.manifest.embedding

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

    def embed(
        self, texts: Sequence[str], *, prompt_name: str | None = None, prompt: str | None = None
    ) -> Floats:
        """Pooled vectors, float32 [n, size]; see :meth:`bertmobile.Model.embed`."""
        put_before = self.prompt(prompt_name, prompt)
        vectors = np.empty((len(texts), self._embedding.size), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            inputs = self._tokenization.encode(text, prompt=put_before).inputs
            row[:] = self._run(inputs)["sentence_embedding"][0]
        return vectors

    def prompt(self, name: str | None = None, prompt: str | None = None) -> str:
        """What is put before a text: ``prompt`` itself, the one called ``name``, or the default one.

        Raises:
            UsageError: no prompt of that name, or a prompt that is not a string.
        """
        if prompt is not None:
            if not isinstance(prompt, str):
                raise UsageError(f"prompt must be a string, not {type(prompt).__name__}")
            return prompt
        prompts = self._embedding.prompts
        chosen = self._embedding.default_prompt if name is None else name
        if chosen is None:
            return ""
        if chosen not in prompts:
            raise UsageError(f"no prompt is called {chosen!r}; known: {', '.join(prompts) or 'none'}")
        return prompts[chosen]
