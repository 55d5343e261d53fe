"""A bundle's model without a bundle: the network itself as the engine, so that parity needs no conversion."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bertmobile import Model
from bertmobile.manifest import Manifest
from bertmobile.tokenization import Tokenization
from bertmobile_export.bundle import draft_manifest
from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.network import Network, build_network
from bertmobile_export.parity.compare import Comparison, compare
from bertmobile_export.parity.reference import Reference, load_reference
from bertmobile_export.targets import get_target
from bertmobile_export.texts import TextSet, builtin_texts
from tests.checkpoints import make_checkpoint
from tests.exporters.configs import make_plan

LENGTHS = (16, 32)
Outputs = dict[str, NDArray[np.float32]]


class NetworkEngine:
    """Runs the network; ``damage`` is what happens to its outputs."""

    name = "network"
    version = "1"

    def __init__(self, network: Network, damage: Callable[[Outputs], Outputs] | None) -> None:
        self._network = network
        self._damage = damage

    def run(self, inputs: dict[str, NDArray[Any]]) -> Outputs:
        with torch.inference_mode():
            outputs = self._network(**{k: torch.from_numpy(v).long() for k, v in inputs.items()})
        arrays = {name: tensor.numpy() for name, tensor in outputs.items()}
        return self._damage(arrays) if self._damage else arrays

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Parts:
    """What a comparison needs of one checkpoint."""

    manifest: Manifest
    network: Network
    tokenizer_json: bytes
    reference: Reference

    @classmethod
    def make(cls, folder: Path, task: str, *, recipe: str = "float32", **config: Any) -> "Parts":
        make_checkpoint(folder, task, **config)
        checkpoint = load_checkpoint(str(folder), task=task)
        plan = make_plan(task, recipe, config=checkpoint.config, lengths=LENGTHS)
        return cls(
            draft_manifest(plan, checkpoint, get_target("tflite")),
            build_network(checkpoint.config, task, checkpoint.network_state),
            checkpoint.tokenizer.tokenizer_json,
            load_reference(folder, checkpoint.config, task),
        )

    def texts(self) -> TextSet:
        return builtin_texts(
            "parity",
            self.manifest.task,
            Tokenizer.from_buffer(self.tokenizer_json),
            LENGTHS,
            mask_token="[MASK]",
            mask_slots=self.manifest.mask_slots,
        )

    def model(self, damage: Callable[[Outputs], Outputs] | None = None) -> Model:
        tokenization = Tokenization(Tokenizer.from_buffer(self.tokenizer_json), self.manifest)
        return Model(self.manifest, tokenization, NetworkEngine(self.network, damage))

    def compare(
        self, texts: TextSet, damage: Callable[[Outputs], Outputs] | None = None, *, keep: int = 0
    ) -> tuple[Model, Comparison]:
        model = self.model(damage)
        return model, compare(model, self.reference, texts, keep_per_bucket=keep)
