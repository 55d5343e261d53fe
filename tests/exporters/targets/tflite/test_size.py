"""A dry run's bytes are those of the file that an export writes."""

from pathlib import Path

import pytest
import torch

from bertmobile_export.network import Network
from bertmobile_export.plan import Plan
from bertmobile_export.quantization import quantize_weights
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets.tflite import buckets, convert
from bertmobile_export.targets.tflite.size import predict_bytes
from bertmobile_export.targets.tflite.target import _dimensions
from tests.exporters.configs import make_config, make_plan

from .conversions import Converted, stored

WITHIN = 0.03


def convert_plan(plan: Plan) -> Converted:
    torch.manual_seed(0)
    network = Network(plan.config, plan.task).eval().requires_grad_(False)
    quantize_weights(network, read_recipe("int8"))
    traced = buckets.trace_length(plan.lengths, _dimensions(plan))
    return Converted(network, convert.convert(network, traced, plan.mask_slots), traced, plan.mask_slots)


def assert_predicted(plan: Plan, source: Converted, path: Path) -> None:
    content = stored(source, plan.recipe, tied_decoder=plan.tied_decoder)
    written = source.write(path, plan.lengths, content).stat().st_size
    assert predict_bytes(plan) == pytest.approx(written, rel=WITHIN), plan.recipe.name


@pytest.mark.parametrize("task", ["fill-mask", "text-classification"])
def test_predictions_are_within_3_percent(task: str, tmp_path: Path) -> None:
    config = make_config(num_hidden_layers=1, hidden_size=128, intermediate_size=512, vocab_size=20_000)
    plan = make_plan(task, config=config)
    source = convert_plan(plan)
    for recipe in ("float32", "int8"):
        for lengths in ((32, 64, 128, 256), (128,)):
            chosen = make_plan(task, recipe, config=config, lengths=lengths)
            assert_predicted(chosen, source, tmp_path / "model.tflite")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "ties"),
    [
        ("fill-mask", (True,)),
        ("fill-mask", (False,)),
        # No decoder, so that whether it would be tied changes nothing: neither the network nor its size.
        ("question-answering", (True, False)),
        ("feature-extraction", (True, False)),
    ],
)
def test_predictions_for_a_usual_model_are_within_3_percent(
    task: str, ties: tuple[bool, ...], tmp_path: Path
) -> None:
    configs = [
        make_config(
            num_hidden_layers=4,
            hidden_size=256,
            intermediate_size=1024,
            vocab_size=30_522,
            tie_word_embeddings=tied,
        )
        for tied in ties
    ]
    source = convert_plan(make_plan(task, config=configs[0]))
    for recipe in ("float32", "float16", "int8"):
        for config in configs:
            assert_predicted(make_plan(task, recipe, config=config), source, tmp_path / "model.tflite")
