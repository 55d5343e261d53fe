"""Where a recipe loses: the fidelity of each layer's output under the same recipe."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bertmobile import load
from bertmobile.manifest import TensorSpec
from bertmobile_export import bundle as bundles
from bertmobile_export.checkpoint import Checkpoint
from bertmobile_export.model_file import Prepared
from bertmobile_export.network import Network
from bertmobile_export.network.heads import FeatureExtractionHead, Rows
from bertmobile_export.network.network import layer_name
from bertmobile_export.parity.compare import compare
from bertmobile_export.parity.reference import Reference
from bertmobile_export.plan import Plan
from bertmobile_export.targets import Target
from bertmobile_export.texts import TextSet


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
    checkpoint: Checkpoint,
    prepared: Prepared,
    reference: Reference,
    texts: TextSet,
    *,
    engine: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[LayerFidelity]:
    """Write the bundle again with every layer's output exposed, and compare each as parity compares outputs.

    Args:
        plan: what the bundle was made by.
        target: the bundle's.
        checkpoint: the source model.
        prepared: as for an export of the plan, its weights rounded; made to return every layer's output.
        reference: what to compare with, layer by layer (:func:`~.sources.layered`).
        texts: what to compare on.
        engine: name of an engine; by default the target's own.
        progress: called with the number of texts done and their total.

    Returns:
        One entry for the embeddings, each layer and each output of the head, in order.

    Raises:
        UsageError: no such engine.
        ParityError: different tokens, or no text that can be compared.
    """
    network = prepared.network
    network.every_layer = True
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as cache:
        folder = Path(name)
        target.write(plan, network, prepared.samples, folder / target.model_file(plan), checkpoint.tokenizer)
        manifest = bundles.draft_manifest(plan, checkpoint, target)
        manifest = replace(manifest, outputs=(*_layers(plan, network), *manifest.outputs))
        bundles.write_source_files(folder, checkpoint, manifest)
        bundles.write_manifest(folder, manifest)
        with load(folder, engine=engine, cache_dir=cache, verify=False, allow_unverified=True) as model:
            outputs = compare(model, reference, texts, progress=progress).numbers.outputs
    result = []
    before = 1.0
    for name, entry in outputs.items():
        cosines, _ = entry.directions()
        mean = float(cosines.mean())
        result.append(LayerFidelity(name, mean, float(cosines.min()), before - mean))
        before = mean
    return result


def _layers(plan: Plan, network: Network) -> list[TensorSpec]:
    """The outputs that ``every_layer`` adds before the head's."""
    rows: dict[Rows, int | str | None] = {Rows.ALL: "length", Rows.FIRST: 1, Rows.MASKED: plan.mask_slots}
    each: list[int | str | None] = ["length"] * len(network.encoder.layers)
    # feature-extraction answers with the last layer itself.
    each += [] if isinstance(network.head, FeatureExtractionHead) else [rows[network.rows]]
    batch, hidden = plan.outputs[0].shape[0], plan.config.hidden_size
    return [
        TensorSpec(layer_name(index), "float32", (batch, count or 1, hidden))
        for index, count in enumerate(each)
    ]
