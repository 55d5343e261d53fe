"""The float32 side: a checkpoint through transformers, which remembers what it has answered."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertmobile.errors import CheckpointError, UsageError
from bertmobile_bench.accuracy.score import Guess, guess
from bertmobile_export.checkpoint import load_checkpoint, locate, read_config, resolve_task
from bertmobile_export.parity.reference import Reference, load_reference

Ids = tuple[int, ...]


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
    _labels_of: dict[tuple[Ids, Ids], int] = field(default_factory=dict)
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

    def label(self, ids: Ids, types: Ids) -> int:
        """Index of the likeliest label.

        Args:
            ids, types: token ids and segments, without padding.
        """
        key = (ids, types)
        if key not in self._labels_of:
            logits = self.model.run(np.array([ids]), np.array([types]))["logits"]
            self._labels_of[key] = int(logits[0].argmax())
        return self._labels_of[key]

    def guess(self, ids: Ids, types: Ids, position: int, masked: NDArray[np.int64]) -> Guess:
        """What the model says about the token at ``position``, which is masked in ``masked``, [1, tokens]."""
        key = (ids, types, position)
        if key not in self._guesses:
            logits = self.model.run(masked, np.array([types]), [position])["logits"]
            self._guesses[key] = guess(logits[0, 0], ids[position])
        return self._guesses[key]
