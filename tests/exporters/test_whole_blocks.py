"""Where blocks of columns do not divide a row, every target still writes ``int4``, and says how."""

from dataclasses import replace
from pathlib import Path

import pytest

from bertmobile.manifest import read_manifest
from bertmobile_export.export import Request, export, make_plan, plan_export
from bertmobile_export.recipes import WeightFormat, parse_recipe, read_recipe
from bertmobile_export.sizes import matrices
from tests.checkpoints import make_checkpoint
from tests.exporters.configs import make_config

WIDTHS = {"hidden_size": 312, "intermediate_size": 1248, "num_attention_heads": 12}
CHANNEL, BLOCK = WeightFormat(4), WeightFormat(4, "block", 32)


def request(target: str, folder: str = "model", **fields: object) -> Request:
    return Request(model=folder, target=target, recipe=read_recipe("int4"), **fields)


@pytest.mark.parametrize("target", ["tflite", "coreml"])
def test_only_the_matrices_whose_rows_are_not_divided_get_a_scale_for_each_row(target: str) -> None:
    plan, _ = make_plan(request(target), "model", make_config(**WIDTHS))
    forms = {name: plan.recipe.form(name) for name, _, _ in matrices(plan)}
    assert forms["encoder.embeddings.word"] == forms["encoder.layers.0.query"] == CHANNEL
    assert forms["encoder.layers.0.intermediate"] == CHANNEL
    assert forms["encoder.layers.0.output"] == BLOCK  # of 1,248 columns
    assert forms["encoder.embeddings.position"] == WeightFormat(8)
    (note,) = plan.notes
    assert f"do not divide rows of 312 columns, as {target} needs it" in note
    assert parse_recipe(plan.recipe.document, source="manifest").modules == plan.recipe.modules


@pytest.mark.parametrize(("target", "width"), [("onnx", 312), ("tflite", 320), ("coreml", 320)])
def test_blocks_that_a_target_can_hold_stay(target: str, width: int) -> None:
    config = make_config(hidden_size=width, intermediate_size=1280, num_attention_heads=4)
    plan, _ = make_plan(request(target), "model", config)
    assert plan.recipe == read_recipe("int4") and not plan.notes


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_the_file_is_written_and_as_large_as_was_predicted(target: str, tmp_path: Path) -> None:
    if target == "coreml":
        pytest.importorskip("coremltools")
    config = {
        "hidden_size": 312,
        "intermediate_size": 1200,
        "num_attention_heads": 12,
        "num_hidden_layers": 1,
    }
    folder = make_checkpoint(tmp_path / "source", "feature-extraction", **config)
    wanted = request(target, str(folder), lengths=(16,), output=tmp_path, untrained=True)
    result = export(wanted)
    assert not result.failures
    assert result.bytes == pytest.approx(plan_export(wanted)[1], rel=0.03)
    recorded = read_manifest(result.bundle).recipe
    assert parse_recipe(recorded, source="manifest") == replace(result.plan.recipe)
