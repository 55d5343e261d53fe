"""All numbers that say how far the answers of one engine are from their reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.manifest import Manifest
from bertmobile.tokenization import Encoded
from bertmobile_export.checkpoint.scores import gives_values
from bertmobile_export.parity.labels import LabelMetrics, ValueMetrics, choices_of
from bertmobile_export.parity.metrics import OutputMetrics


@dataclass
class Numbers:
    """Collects over all texts: of each output, and of the decisions or the numbers that a user reads."""

    outputs: dict[str, OutputMetrics]
    labels: LabelMetrics | None
    values: ValueMetrics | None

    @classmethod
    def of(cls, manifest: Manifest) -> "Numbers":
        """Nothing yet, for the outputs and the task of a bundle."""
        choices = choices_of(manifest)
        values = gives_values(manifest.function_to_apply, manifest.problem_type, len(manifest.labels))
        return cls(
            {spec.name: OutputMetrics(scores=spec.name.endswith("logits")) for spec in manifest.outputs},
            None if choices is None else LabelMetrics(choices),
            ValueMetrics() if values else None,
        )

    def add(
        self,
        actual: Mapping[str, NDArray[np.float32]],
        reference: Mapping[str, NDArray[np.float32]],
        encoded: Encoded,
    ) -> None:
        """Add one text: the outputs of both sides by name, padding already left out, and its tokens."""
        for name, metrics in self.outputs.items():
            metrics.add(actual[name], reference[name])
        if self.labels is not None:
            self.labels.add(actual, reference, encoded)
        if self.values is not None:
            self.values.add(actual, reference)

    def summary(self) -> dict[str, Any]:
        """``outputs``, ``labels`` and ``values`` of the parity report's schema."""
        return {
            "outputs": {name: metrics.summary() for name, metrics in self.outputs.items()},
            "labels": None if self.labels is None else self.labels.summary(),
            "values": None if self.values is None else self.values.summary(),
        }
