"""Where a recipe loses: the fidelity of each layer's output under the same recipe."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bertmobile.engines import open_engine
from bertmobile.manifest import Manifest, TensorSpec
from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
from bertmobile_export.network import Network
from bertmobile_export.parity.metrics import cosine
from bertmobile_export.plan import Plan
from bertmobile_export.targets import Inputs, Target


@dataclass(frozen=True)
class LayerFidelity:
    """Cosines of one output over the texts; ``drop`` is what its mean lost against the output before it."""

    name: str
    cosine_mean: float
    cosine_min: float
    drop: float


def bisect(
    plan: Plan,
    target: Target,
    manifest: Manifest,
    network: Network,
    reference: Network,
    calibration: Sequence[Inputs],
    samples: Sequence[Inputs],
    tokenizer: TokenizerFiles,
) -> list[LayerFidelity]:
    """Write a diagnostic file with every layer's output exposed, run it, and compare layer by layer.

    Args:
        plan: with the one length that ``samples`` have.
        target: the bundle's.
        manifest: the bundle's.
        network: as the export prepares it for the recipe; made to return every layer's output.
        reference: the same in plain float32.
        calibration: the recipe's calibration inputs.
        samples: texts to compare, padded to the plan's length.
        tokenizer: of the checkpoint.

    Returns:
        One entry for the embeddings, each layer and each output of the head, in order.
    """
    network.every_layer = reference.every_layer = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target.write(plan, network, calibration, folder / manifest.model_file, tokenizer)
        named = list(reference(**{key: torch.from_numpy(values) for key, values in samples[0].items()}))
        diagnostic = replace(
            manifest,
            lengths=plan.lengths,
            signatures=target.signatures(plan),
            outputs=tuple(TensorSpec(name, "float32", ()) for name in named),
        )
        engine = open_engine(folder, diagnostic, threads=2)
        try:
            actual = [engine.run({k: v.astype(np.int32) for k, v in sample.items()}) for sample in samples]
        finally:
            engine.close()
    cosines: dict[str, list[float]] = {}
    for sample, outputs in zip(samples, actual, strict=True):
        tokens = int(sample["attention_mask"].sum())
        with torch.inference_mode():
            expected = reference(**{key: torch.from_numpy(values) for key, values in sample.items()})
        for key, tensor in expected.items():
            rows = slice(tokens) if tensor.shape[1:2] == (plan.lengths[0],) else slice(None)
            value = cosine(outputs[key][0][rows], tensor[0][rows].numpy())
            cosines.setdefault(key, []).append(value)
    result = []
    before = 1.0
    for key, values in cosines.items():
        mean = float(np.mean(values))
        result.append(LayerFidelity(key, mean, min(values), before - mean))
        before = mean
    return result
