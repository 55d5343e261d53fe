"""A dry run's bytes are those of the file that an export writes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bertmobile_export.network import Network
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.targets.onnx import TARGET
from bertmobile_export.targets.onnx.size import predict_bytes
from bertmobile_export.targets.onnx.write import write, write_ort
from tests.exporters.configs import make_config

from .models import onnx_plan, recipe, some_inputs, uneven

WITHIN = 0.03
# Both of little more than a megabyte at 8 bits, where nodes weigh most.
SHAPES: dict[str, dict[str, Any]] = {
    "wide": {"num_hidden_layers": 1, "hidden_size": 128, "intermediate_size": 512, "vocab_size": 8000},
    "deep": {"num_hidden_layers": 12, "hidden_size": 96, "intermediate_size": 384, "vocab_size": 3000},
}
FORMS = [
    ("float32", False, False),
    ("float16", False, False),
    ("int8", False, False),
    ("int8-static", False, False),
    ("float32", True, False),
    ("float16", True, False),
    ("int8-static", True, False),
    ("float32", False, True),
    ("int8", False, True),
    ("int8-static", False, True),
    ("float32", True, True),
    ("int8-static", True, True),
]


def check(plan: Plan, path: Path) -> None:
    torch.manual_seed(0)
    network = Network(plan.config, plan.task).eval().requires_grad_(False)
    if TARGET.quantized_activations(plan) is not None:
        uneven(network)
    quantize_weights(network, replace(plan.recipe, rounding="nearest"))
    path = path.with_suffix(".ort" if plan.ort else ".onnx")
    (write_ort if plan.ort else write)(plan, network, [some_inputs(plan, [8])], path)
    written = path.stat().st_size
    assert written > 1_000_000
    assert predict_bytes(plan) == pytest.approx(written, rel=WITHIN)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("recipe", "portable", "ort"), FORMS)
def test_predictions_are_within_3_percent(
    recipe: str, portable: bool, ort: bool, shape: str, tmp_path: Path
) -> None:
    for task in ("fill-mask", "text-classification"):
        plan = onnx_plan(
            task, recipe, config=make_config(**SHAPES[shape]), portable=portable, ort=ort, lengths=(16,)
        )
        check(plan, tmp_path / "model")


@pytest.mark.parametrize("task", ["token-classification", "question-answering", "feature-extraction"])
def test_so_are_those_of_other_tasks(task: str, tmp_path: Path) -> None:
    for name in ("float32", "int8"):
        check(onnx_plan(task, name, config=make_config(**SHAPES["wide"])), tmp_path / "model")


def test_so_are_those_of_a_decoder_of_its_own_and_of_scales_for_whole_matrices(tmp_path: Path) -> None:
    config = make_config(**SHAPES["wide"], tie_word_embeddings=False)
    for chosen in (recipe(8, 8, 8, "dynamic", granularity="tensor"), recipe(16, 8, 32, "static")):
        check(onnx_plan("fill-mask", chosen, config=config), tmp_path / "model")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("bits", "size"), [(4, 32), (4, 64), (8, 128)])
def test_so_are_those_of_blocks(bits: int, size: int, shape: str, tmp_path: Path) -> None:
    chosen = recipe(bits, bits, 8, "dynamic", granularity="block", block_size=size)
    config = make_config(**{**SHAPES[shape], "vocab_size": 20_000})
    check(onnx_plan("fill-mask", chosen, config=config), tmp_path / "model")
