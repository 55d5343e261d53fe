"""Task heads: what each task reads from the encoder, and what it makes of it.

A head says which rows of the last layer it reads (``rows``), so that :class:`~.network.Network` can leave
the others out: an exact saving, since no later layer attends to them.
"""

from abc import ABC, abstractmethod
from enum import Enum

import torch
from torch import Tensor, nn

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.network.encoder import Activation, LayerNorm
from bertmobile_export.network.sentence_embedding import Pool, make_steps


class Rows(Enum):
    """The rows of the last layer that a head reads."""

    ALL = "all"
    FIRST = "first"  # [CLS]
    MASKED = "masked"  # the positions given in mask_positions


class Head(nn.Module, ABC):
    """Base of all heads; ``forward`` maps [batch, rows, hidden] float32 to named outputs."""

    rows = Rows.ALL

    @abstractmethod
    def forward(self, states: Tensor, mask: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """Outputs by name; ``mask`` is [batch, length], 1 for what counts, ``numbers`` [length] from 0 on."""


class MaskedLanguageModelHead(Head):
    """Vocabulary scores; the decoder is the word embedding table itself where the checkpoint ties them."""

    rows = Rows.MASKED

    def __init__(self, config: ModelConfig, tied: nn.Embedding | None) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = Activation(config.hidden_act)
        self.norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        if tied is not None:
            self.decoder.weight = tied.weight

    def forward(self, states: Tensor, mask: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        return {"logits": self.decoder(self.norm(self.activation(self.transform(states))))}


class PooledClassifierHead(Head):
    """Scores from the pooled [CLS] state: text-classification and next-sentence."""

    rows = Rows.FIRST

    def __init__(self, config: ModelConfig, num_labels: int) -> None:
        super().__init__()
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, num_labels)

    def forward(self, states: Tensor, mask: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(torch.tanh(self.pooler(states[:, 0])))}


class TokenClassifierHead(Head):
    """Scores for every token."""

    def __init__(self, config: ModelConfig, num_labels: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(config.hidden_size, num_labels)

    def forward(self, states: Tensor, mask: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(states)}


class QuestionAnsweringHead(Head):
    """Start and end scores for every token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.span = nn.Linear(config.hidden_size, 2)

    def forward(self, states: Tensor, mask: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        scores = self.span(states)
        return {"start_logits": scores[..., 0], "end_logits": scores[..., 1]}


class FeatureExtractionHead(Head):
    """Token states, and one vector for the text, made as sentence-transformers' modules say."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        embedding = config.embedding
        self.pool = Pool(embedding.pooling, config.max_position_embeddings)
        self.steps = make_steps(embedding)
        size = embedding.size(config.hidden_size)
        self.kept = size if size < embedding.sizes(config.hidden_size)[-1] else None
        """How many numbers of the vector are kept; None for all."""

    def forward(self, states: Tensor, mask: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        vector = self.pool(states, mask, numbers)
        for step in self.steps:
            vector = step(vector)
        if self.kept is not None:
            vector = vector[:, : self.kept]
        return {"last_hidden_state": states, "sentence_embedding": vector}
