"""The source model as transformers runs it: float32, eager, unpadded. Shares no code with our network.

A folder of sentence-transformers is run by that library; see :mod:`~.sentence_reference`.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    """A transformers model for one task.

    Attributes:
        versions: of the libraries that ran it, beside torch and transformers.
        note: what a report has to say about it, or None.
        pool: a text's vector from its states [1, tokens, hidden] and a mask [1, tokens]; the mean when None.
    """

    model: Any
    tokenizer: Any
    task: str
    config: ModelConfig
    versions: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None
    pool: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None

    def token_ids(self, text: str, pair: str | None, longest: int) -> list[int]:
        """What the source's own tokenizer makes of a text, truncated to ``longest`` tokens."""
        encoded = self.tokenizer(text, pair, truncation=True, max_length=longest)
        ids: list[int] = encoded["input_ids"]
        return ids

    def prompt_length(self, prompt: str, longest: int) -> int:
        """How many tokens of a text are its prompt's, [CLS] included."""
        return len(self.token_ids(prompt, None, longest)) - 1

    @staticmethod
    def inputs(input_ids: NDArray[Any], token_type_ids: NDArray[Any]) -> dict[str, Any]:
        """One text without padding, as the model takes it."""
        inputs = {
            "input_ids": torch.from_numpy(np.asarray(input_ids, dtype=np.int64)),
            "token_type_ids": torch.from_numpy(np.asarray(token_type_ids, dtype=np.int64)),
        }
        return {**inputs, "attention_mask": torch.ones_like(inputs["input_ids"])}

    def run(
        self,
        input_ids: NDArray[Any],
        token_type_ids: NDArray[Any],
        positions: list[int] | None = None,
        pooling_mask: NDArray[Any] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Run one text without padding.

        Args:
            input_ids, token_type_ids: [1, tokens] integer.
            positions: for fill-mask, the rows whose scores are wanted; all of them when None.
            pooling_mask: [1, tokens] integer, 0 for tokens that a text's vector leaves out: those of its
                prompt, and [CLS] before it; none of them when None.

        Returns:
            Every output that a bundle may have, by its name, float32: [1, tokens or positions, n],
            [1, tokens] or [1, n].
        """
        inputs = self.inputs(input_ids, token_type_ids)
        with torch.inference_mode():
            if positions is not None:
                # The vocabulary for every row would be a third of the time and 30 MB a text.
                states = self.model.bert(**inputs).last_hidden_state[:, positions]
                return {"logits": self.model.cls(states).numpy()}
            outputs = self.model(**inputs)
            if self.task == "feature-extraction":
                states = outputs.last_hidden_state
                mask = inputs["attention_mask"] if pooling_mask is None else torch.from_numpy(pooling_mask)
                vector = self.pool(states, mask) if self.pool else states.mean(dim=1)
                return {"last_hidden_state": states.numpy(), "sentence_embedding": vector.numpy()}
        if self.task == "question-answering":
            return {name: outputs[name].numpy() for name in ("start_logits", "end_logits")}
        logits = outputs.logits
        if self.task == "text-classification":
            scores = {"softmax": logits.softmax(-1), "sigmoid": logits.sigmoid(), "none": logits}
            return {"logits": logits.numpy(), PROBABILITIES: scores[self.config.function_to_apply].numpy()}
        return {"logits": logits.numpy()}


def load_reference(folder: Path, config: ModelConfig, task: str) -> Reference:
    """Load a checkpoint folder with the library that defines it.

    Args:
        folder: where the checkpoint lies.
        config: its sizes.
        task: which head to load.
    """
    from bertmobile_export.parity import sentence_reference

    defined = task == "feature-extraction" and config.is_sentence_model
    if defined and sentence_reference.is_installed():
        return sentence_reference.load_sentence_reference(folder, config, task)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    quiet()
    import transformers

    encoder = folder / config.encoder
    model = getattr(transformers, _CLASSES[task]).from_pretrained(
        encoder, local_files_only=True, dtype=torch.float32, attn_implementation="eager"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    if config.lower_case_text:
        _lower_case_first(tokenizer)
    reference = Reference(model.eval(), tokenizer, task, config)
    if defined:
        reference.note, reference.pool = sentence_reference.NOTE, _own_pooling(folder, config)
    return reference


def quiet() -> None:
    """Keep transformers from writing to the terminal."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _lower_case_first(tokenizer: Any) -> None:
    """As sentence-transformers does where its folder says so."""
    from tokenizers.normalizers import Lowercase, Sequence

    backend = tokenizer.backend_tokenizer
    backend.normalizer = Sequence([Lowercase(), backend.normalizer])


def _own_pooling(folder: Path, config: ModelConfig) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The network's own modules behind the encoder."""
    from bertmobile_export.checkpoint.load import read_step_weights
    from bertmobile_export.checkpoint.naming import head_names
    from bertmobile_export.network.heads import FeatureExtractionHead

    weights = read_step_weights(folder, config)
    head = FeatureExtractionHead(config).eval()
    names = head_names("feature-extraction", config)
    head.load_state_dict({ours.removeprefix("head."): weights[theirs] for ours, theirs in names.items()})

    def pool(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        vector: torch.Tensor = head(states, mask, torch.arange(states.shape[1]))["sentence_embedding"]
        return vector

    return pool
