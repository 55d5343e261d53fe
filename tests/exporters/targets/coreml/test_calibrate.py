"""The ranges that static activations get."""

from pathlib import Path

import pytest

from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.network import build_network
from bertmobile_export.network.ranges import linear_ranges
from bertmobile_export.targets.coreml.calibrate import input_ranges
from tests.checkpoints import make_checkpoint
from tests.exporters.targets.coreml.packages import coreml_plan, some_inputs


@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "feature-extraction"])
@pytest.mark.parametrize("ios", [17, 18])
def test_the_evaluator_sees_the_ranges_that_pytorch_sees_without_padding(
    task: str, ios: int, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(str(make_checkpoint(tmp_path / "source", task)))
    plan = coreml_plan(task, "int8-static", ios, config=checkpoint.config)
    network = build_network(plan.config, task, checkpoint.network_state)
    samples = [some_inputs(plan, plan.lengths[-1], tokens, tokens) for tokens in (5, 8, 13, 21)]
    found = input_ranges(plan, ios, network, samples, checkpoint.tokenizer)
    expected = linear_ranges(network, samples)
    assert {name.replace(".", "_") for name in expected} == set(found)
    for name, ranges in expected.items():
        measured = found[name.replace(".", "_")]
        assert (measured.low, measured.high) == pytest.approx((ranges.input.low, ranges.input.high), abs=1e-4)
