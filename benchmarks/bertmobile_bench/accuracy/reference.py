"""The float32 side: a checkpoint through transformers, which remembers what it has answered."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines import Tensors
from bertmobile.errors import CheckpointError, UsageError
from bertmobile_bench.accuracy.guess import Guess, guess
from bertmobile_export.checkpoint import load_checkpoint, locate, read_config, resolve_task
from bertmobile_export.parity.reference import Reference, load_reference

Ids = tuple[int, ...]
Outputs = dict[str, NDArray[np.float32]]


@dataclass
class Source:
    """A checkpoint in float32 for one task.

    Its answers are kept, small as they are, so that several bundles of one checkpoint can be scored for the
    price of one reference. Safe to use from several threads.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    weights_sha256: str
    model: Reference
    _outputs: dict[tuple[Ids, ...], Outputs] = field(default_factory=dict)
    _guesses: dict[tuple[Ids, Ids, int], Guess] = field(default_factory=dict)

    @classmethod
    def open(cls, model: str, task: str, *, revision: str | None = None) -> "Source":
        """Load a checkpoint.

        Args:
            model: a folder or a hub id.
            task: the bundle's.
            revision: a branch, tag or commit on the hub.

        Raises:
            UsageError: the checkpoint is a model for another task.
            CheckpointError: it cannot be found, read or used.
        """
        try:
            checkpoint = load_checkpoint(model, task=task, revision=revision)
        except CheckpointError as failure:
            own = resolve_task(read_config(locate(model, revision=revision).folder), None)
            if own == task:
                raise
            raise UsageError(
                f"{model} is a {own} model and the bundle is for {task}; give the model it was made from"
            ) from failure
        config, folder = checkpoint.config, checkpoint.location.folder
        return cls(
            # A folder's own name only: results name no place on a machine.
            name=Path(model).resolve().name if Path(model).exists() else model,
            task=task,
            labels=tuple(config.labels),
            weights_sha256=checkpoint.weights_sha256,
            model=load_reference(folder, config, task),
        )

    def run(self, inputs: Tensors) -> Outputs:
        """The source in the place of a bundle's engine: the very same token ids, without their padding.

        Args:
            inputs: as a bundle's model takes them, [1, length] integers each.

        Returns:
            The outputs of the task by name, float32 with a batch of one; not the states of all tokens.
        """
        tokens = int(inputs["attention_mask"].sum())
        ids, types = (inputs[name][:, :tokens] for name in ("input_ids", "token_type_ids"))
        pooled = inputs.get("pooling_mask", inputs["attention_mask"])[:, :tokens]
        key = tuple(tuple(row[0].tolist()) for row in (ids, types, pooled))
        if key not in self._outputs:
            outputs = self.model.run(ids, types, pooling_mask=pooled)
            # No measure reads them, and they are too large to be kept for each text.
            outputs.pop("last_hidden_state", None)
            self._outputs[key] = outputs
        return self._outputs[key]

    def guess(self, ids: Ids, types: Ids, position: int, masked: NDArray[np.int64]) -> Guess:
        """What the model says about the token at ``position``, which is masked in ``masked``, [1, tokens]."""
        key = (ids, types, position)
        if key not in self._guesses:
            logits = self.model.run(masked, np.array([types]), [position])["logits"]
            self._guesses[key] = guess(logits[0, 0], ids[position])
        return self._guesses[key]
