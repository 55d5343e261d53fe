"""The source model as transformers runs it: float32, eager, unpadded. Shares no code with our network."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.plan import PROBABILITIES

_CLASSES = {
    "fill-mask": "BertForMaskedLM",
    "next-sentence": "BertForNextSentencePrediction",
    "text-classification": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    "question-answering": "BertForQuestionAnswering",
    "feature-extraction": "BertModel",
}


@dataclass
class Reference:
    """A transformers model for one task."""

    model: Any
    tokenizer: Any
    task: str
    config: ModelConfig

    def token_ids(self, text: str, pair: str | None, longest: int) -> list[int]:
        """What the source's own tokenizer makes of a text, truncated to ``longest`` tokens."""
        encoded = self.tokenizer(text, pair, truncation=True, max_length=longest)
        ids: list[int] = encoded["input_ids"]
        return ids

    def run(
        self, input_ids: NDArray[Any], token_type_ids: NDArray[Any], positions: list[int] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Run one text without padding.

        Args:
            input_ids, token_type_ids: [1, tokens] integer.
            positions: for fill-mask, the rows whose scores are wanted; all of them when None.

        Returns:
            Every output that a bundle may have, by its name, float32: [1, tokens or positions, n],
            [1, tokens] or [1, n].
        """
        inputs = {
            "input_ids": torch.from_numpy(np.asarray(input_ids, dtype=np.int64)),
            "token_type_ids": torch.from_numpy(np.asarray(token_type_ids, dtype=np.int64)),
        }
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            if positions is not None:
                # The vocabulary for every row would be a third of the time and 30 MB a text.
                states = self.model.bert(**inputs).last_hidden_state[:, positions]
                return {"logits": self.model.cls(states).numpy()}
            outputs = self.model(**inputs)
            if self.task == "feature-extraction":
                states = outputs.last_hidden_state
                return {
                    "last_hidden_state": states.numpy(),
                    "sentence_embedding": self._pool(states).numpy(),
                }
        if self.task == "question-answering":
            return {name: outputs[name].numpy() for name in ("start_logits", "end_logits")}
        logits = outputs.logits
        if self.task == "text-classification":
            scores = {"softmax": logits.softmax(-1), "sigmoid": logits.sigmoid(), "none": logits}
            return {"logits": logits.numpy(), PROBABILITIES: scores[self.config.function_to_apply].numpy()}
        return {"logits": logits.numpy()}

    def _pool(self, states: torch.Tensor) -> torch.Tensor:
        """sentence-transformers' pooling, for a text without padding."""
        pooled = {
            "cls": lambda: states[:, 0],
            "max": lambda: states.max(dim=1).values,
            "mean": lambda: states.mean(dim=1),
        }[self.config.pooling]()
        return torch.nn.functional.normalize(pooled, dim=-1) if self.config.normalize_embedding else pooled


def load_reference(folder: Path, config: ModelConfig, task: str) -> Reference:
    """Load a checkpoint folder with transformers.

    Args:
        folder: where the checkpoint lies.
        config: its sizes.
        task: which head to load.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import transformers
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = getattr(transformers, _CLASSES[task]).from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, attn_implementation="eager"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return Reference(model.eval(), tokenizer, task, config)
