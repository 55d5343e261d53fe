import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.network import build_network
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets.tflite import buckets, convert
from bertmobile_export.targets.tflite.target import _dimensions
from tests.checkpoints import TINY, make_checkpoint
from tests.exporters.configs import make_plan
from tests.exports import Exports

from .conversions import Converted


@pytest.fixture(scope="session")
def converted(exports: Exports) -> Callable[..., Converted]:
    """(task, longest bucket, recipe, BertConfig fields) -> a converted tiny checkpoint; made once for each.

    Its weights are those that the codes of the recipe stand for, where it has codes.
    """

    def get(
        task: str, longest: int = TINY["max_position_embeddings"], recipe: str = "float32", **config: int
    ) -> Converted:
        def make(folder: Path) -> Converted:
            make_checkpoint(folder, task, **config)
            checkpoint = load_checkpoint(str(folder), task=task)
            plan = make_plan(task, config=checkpoint.config, lengths=(longest,))
            network = build_network(checkpoint.config, task, checkpoint.network_state)
            quantize_weights(network, read_recipe(recipe))
            traced = buckets.trace_length(plan.lengths, _dimensions(plan))
            content = convert.convert(network, traced, plan.mask_slots)
            return Converted(network, content, traced, plan.mask_slots)

        return exports.once(json.dumps(["converted", task, longest, recipe, config], sort_keys=True), make)

    return get
