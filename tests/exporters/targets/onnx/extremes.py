"""Files whose weights are as large as codes can be, where products saturate most, and what they answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from bertmobile_export.checkpoint import Checkpoint, load_checkpoint
from bertmobile_export.recipes import WeightFormat, read_recipe
from tests.checkpoints import make_checkpoint
from tests.processors import Answers

from .models import Inputs, Written, recipe, write_model

NARROW = {
    "embeddings": WeightFormat(4, "scaled-block", 32),
    "encoder": WeightFormat(5, "scaled-block", 32),
    "head": WeightFormat(6),
}
MIXED = replace(read_recipe("int8"), weights=NARROW)
BLOCKS = recipe(8, 8, 8, "dynamic", granularity="block", block_size=32)
FILES: dict[str, tuple[str, Any, dict[str, bool]]] = {
    "int8": ("text-classification", "int8", {}),
    "int8, tied table": ("fill-mask", "int8", {}),
    "int8, all logits": ("fill-mask", "int8", {"full_logits": True}),
    "int8-static": ("fill-mask", "int8-static", {}),
    "int8-static, portable": ("fill-mask", "int8-static", {"portable": True}),
    "mixed, tied table": ("fill-mask", MIXED, {}),
    "int8, ort": ("fill-mask", "int8", {"ort": True}),
    "int8-static, ort": ("fill-mask", "int8-static", {"ort": True}),
    "blocks": ("feature-extraction", BLOCKS, {}),
}
# As a part of the answer's size. What another order of sums changes may move an activation to its next code.
SPREAD = 0.02


def extreme(checkpoint: Checkpoint) -> Checkpoint:
    """The same with weights that have one size in a matrix: all codes are as large as they can be."""
    made: dict[int, torch.Tensor] = {}
    state = {}
    for name, weight in checkpoint.network_state.items():
        if weight.ndim == 2:  # a tied one stays so
            weight = made.setdefault(id(weight), torch.sign(weight) * weight.abs().mean())
        state[name] = weight
    return replace(checkpoint, network_state=state)


def write_extreme(name: str, folder: Path) -> Written:
    """One of ``FILES``, written into a folder."""
    task, chosen, options = FILES[name]
    source = make_checkpoint(folder / "checkpoint", task, hidden_size=64, intermediate_size=128)
    path = folder / ("model.ort" if "ort" in options else "model.onnx")
    return write_model(extreme(load_checkpoint(str(source), task=task)), path, chosen, **options)


def run(path: Path, inputs: Inputs) -> Answers:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def apart(one: Answers, two: Answers) -> float:
    """The largest distance of two outputs, as a part of their size."""
    assert one.keys() == two.keys()
    return max(float(np.linalg.norm(one[name] - two[name]) / np.linalg.norm(two[name])) for name in one)
