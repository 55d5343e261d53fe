"""Task heads: what each task reads from the encoder, and what it makes of it.

A head says which rows of the last layer it reads (``rows``), so that :class:`~.network.Network` can leave
the others out: an exact saving, since no later layer attends to them.
"""

from abc import ABC, abstractmethod
from enum import Enum

import torch
from torch import Tensor, nn

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.network.encoder import LayerNorm, activation


class Rows(Enum):
    """The rows of the last layer that a head reads."""

    ALL = "all"
    FIRST = "first"  # [CLS]
    MASKED = "masked"  # the positions given in mask_positions


class Head(nn.Module, ABC):
    """Base of all heads; ``forward`` maps [batch, rows, hidden] float32 to named outputs."""

    rows = Rows.ALL

    @abstractmethod
    def forward(self, states: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Outputs by name; ``attention_mask`` is [batch, length], 1 for text."""


class MaskedLanguageModelHead(Head):
    """Vocabulary scores; the decoder is the word embedding table itself where the checkpoint ties them."""

    rows = Rows.MASKED

    def __init__(self, config: ModelConfig, tied: nn.Embedding | None) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = activation(config.hidden_act)
        self.norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        if tied is not None:
            self.decoder.weight = tied.weight

    def forward(self, states: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.decoder(self.norm(self.activation(self.transform(states))))}


class PooledClassifierHead(Head):
    """Scores from the pooled [CLS] state: text-classification and next-sentence."""

    rows = Rows.FIRST

    def __init__(self, config: ModelConfig, num_labels: int) -> None:
        super().__init__()
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, num_labels)

    def forward(self, states: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(torch.tanh(self.pooler(states[:, 0])))}


class TokenClassifierHead(Head):
    """Scores for every token."""

    def __init__(self, config: ModelConfig, num_labels: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(config.hidden_size, num_labels)

    def forward(self, states: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(states)}


class QuestionAnsweringHead(Head):
    """Start and end scores for every token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.span = nn.Linear(config.hidden_size, 2)

    def forward(self, states: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        scores = self.span(states)
        return {"start_logits": scores[..., 0], "end_logits": scores[..., 1]}


class FeatureExtractionHead(Head):
    """Token states, and one vector for the text, pooled as sentence-transformers' config says."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pooling = config.pooling
        self.normalize = config.normalize_embedding

    def forward(self, states: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        keep = attention_mask.to(states.dtype).unsqueeze(-1)
        if self.pooling == "cls":
            pooled = states[:, 0]
        elif self.pooling == "max":
            # Padding is pushed below any state of a normalised layer.
            pooled = (states + (keep - 1.0) * 1e4).amax(dim=1)
        else:
            pooled = (states * keep).sum(dim=1) / keep.sum(dim=1)
        if self.normalize:
            pooled = pooled / pooled.pow(2).sum(dim=-1, keepdim=True).clamp_min(1e-24).sqrt()
        return {"last_hidden_state": states, "sentence_embedding": pooled}
