"""Encoder and head as one module with the inputs and outputs of the exported file."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.network.encoder import MASKED_SCORE, Encoder
from bertmobile_export.network.heads import (
    FeatureExtractionHead,
    Head,
    MaskedLanguageModelHead,
    PooledClassifierHead,
    QuestionAnsweringHead,
    Rows,
    TokenClassifierHead,
)

if TYPE_CHECKING:
    from bertmobile_export.quantization.matrix import QuantizedMatrix


def _head(config: ModelConfig, task: str, encoder: Encoder) -> Head:
    match task:
        case "fill-mask":
            return MaskedLanguageModelHead(
                config, encoder.embeddings.word if config.tie_word_embeddings else None
            )
        case "next-sentence":
            return PooledClassifierHead(config, 2)
        case "text-classification":
            return PooledClassifierHead(config, config.num_labels)
        case "token-classification":
            return TokenClassifierHead(config, config.num_labels)
        case "question-answering":
            return QuestionAnsweringHead(config)
        case "feature-extraction":
            return FeatureExtractionHead(config)
    raise ValueError(f"no head for task {task!r}")


def layer_name(index: int) -> str:
    """The output that ``every_layer`` adds for an entry of :meth:`Network.hidden_states`."""
    return "embeddings" if index == 0 else f"layer_{index - 1}"


class Network(nn.Module):
    """BERT for one task.

    ``full_logits`` switches the exact specialisations off: the last layer and the head then compute every
    row, and fill-mask takes no ``mask_positions``.
    """

    def __init__(self, config: ModelConfig, task: str, *, full_logits: bool = False) -> None:
        super().__init__()
        self.config = config
        self.task = task
        self.encoder = Encoder(config)
        self.head = _head(config, task, self.encoder)
        self.rows = Rows.ALL if full_logits else self.head.rows
        self.codes: dict[str, QuantizedMatrix] = {}
        """Of matrices that are stored as codes, by module name; their parameters are what these stand for."""
        self.every_layer = False
        """For diagnosis: also return the states after the embeddings and after each layer."""

    @property
    def takes_mask_positions(self) -> bool:
        return self.rows is Rows.MASKED

    @property
    def takes_pooling_mask(self) -> bool:
        return isinstance(self.head, FeatureExtractionHead) and not self.head.pool.whole

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        mask_positions: Tensor | None = None,
        position_ids: Tensor | None = None,
        pooling_mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Run the model.

        Args:
            input_ids: [batch, length] int32 or int64, vocabulary ids.
            attention_mask: [batch, length] same dtype, 1 for text and 0 for padding.
            token_type_ids: [batch, length] same dtype, the segment of each token.
            mask_positions: [batch, slots] same dtype, rows whose vocabulary scores are wanted (fill-mask
                without ``full_logits`` only); unused slots may hold any valid position.
            position_ids: [length] same dtype; 0, 1, 2, ... when omitted.
            pooling_mask: [batch, length] same dtype, 1 for the tokens that the text's vector is made of
                (feature-extraction only); those of ``attention_mask`` when omitted.

        Returns:
            Named float32 tensors: ``logits`` ([batch, slots or length, vocabulary], [batch, labels] or
            [batch, length, labels]), ``start_logits`` and ``end_logits`` ([batch, length]), or
            ``last_hidden_state`` ([batch, length, hidden]) and ``sentence_embedding`` ([batch, size]).
            With ``every_layer`` before them ``embeddings``, ``layer_0``, ... ([batch, rows, hidden] each).
        """
        hidden = self.hidden_states(input_ids, attention_mask, token_type_ids, mask_positions, position_ids)
        mask = attention_mask if pooling_mask is None else pooling_mask
        numbers = torch.arange(input_ids.shape[1]) if position_ids is None else position_ids
        outputs: dict[str, Tensor] = self.head(hidden[-1], mask, numbers)
        if not self.every_layer:
            return outputs
        # feature-extraction answers with the last layer itself: one tensor cannot be two outputs.
        passed_on = {id(tensor) for tensor in outputs.values()}
        return {
            layer_name(i): states for i, states in enumerate(hidden) if id(states) not in passed_on
        } | outputs

    def hidden_states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        mask_positions: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> list[Tensor]:
        """The states after the embeddings and after each layer, [batch, rows, hidden] float32 each.

        All have ``length`` rows except the last, which has only those that the head reads.
        """
        batch, length = input_ids.shape
        mask = ((1.0 - attention_mask.to(torch.float32)) * MASKED_SCORE).unsqueeze(1)
        if batch > 1:
            mask = mask.repeat_interleave(self.config.num_attention_heads, dim=0)
        states = self.encoder.embeddings(input_ids, token_type_ids, position_ids)
        hidden = [states]
        *early, last = self.encoder.layers
        for layer in early:
            states = layer(states, mask)
            hidden.append(states)
        hidden.append(last(states, mask, self._select(states, batch, length, mask_positions)))
        return [states.reshape(batch, -1, self.config.hidden_size) for states in hidden]

    def _select(
        self, states: Tensor, batch: int, length: int, mask_positions: Tensor | None
    ) -> Tensor | None:
        """The rows that the head reads, [batch * n, hidden]; None for all of them."""
        if self.rows is Rows.FIRST:
            return states.reshape(batch, length, -1)[:, 0]
        if self.rows is Rows.MASKED:
            if mask_positions is None:
                raise ValueError("this network needs mask_positions")
            if batch > 1:
                first = torch.arange(batch, dtype=mask_positions.dtype).unsqueeze(1) * length
                mask_positions = mask_positions + first
            return nn.functional.embedding(mask_positions.reshape(-1), states)
        return None


def build_network(
    config: ModelConfig, task: str, state: Mapping[str, Tensor], *, full_logits: bool = False
) -> Network:
    """A network in evaluation mode that uses the tensors of ``state`` as they are, without a copy.

    Args:
        config: sizes of the model.
        task: Hugging Face task name.
        state: float32 tensors by the network's own parameter names.
        full_logits: switch the exact specialisations off.
    """
    with torch.device("meta"):
        network = Network(config, task, full_logits=full_logits)
    network.load_state_dict(dict(state), assign=True)
    if isinstance(network.head, MaskedLanguageModelHead) and config.tie_word_embeddings:
        network.head.decoder.weight = network.encoder.embeddings.word.weight
    return network.eval().requires_grad_(False)
