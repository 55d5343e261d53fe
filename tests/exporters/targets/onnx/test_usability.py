"""How the portable form splits among the accelerators of phones, by ONNX Runtime's own checker."""

from collections.abc import Callable

import pytest

from bertmobile_export.checkpoint.sentence_transformers import Normalize, SentenceEmbedding
from bertmobile_export.targets.onnx import TARGET
from tests.checkpoints import MODELS

from .models import Written

Write = Callable[..., Written]
UNIT_LENGTH = SentenceEmbedding(steps=(Normalize(),))


@pytest.mark.parametrize("full_logits", [False, True])
@pytest.mark.parametrize("recipe", ["float32", "float16"])
@pytest.mark.parametrize("task", list(MODELS))
def test_core_ml_takes_all_but_the_lookups_in_one_piece(
    written: Write, task: str, recipe: str, full_logits: bool
) -> None:
    file = written(task, recipe, portable=True, full_logits=full_logits, embedding=UNIT_LENGTH)
    found = TARGET.inspect(file.plan, file.path)["partitions"]["coreml"]
    assert found["all_nodes"] == len(file.model.graph.node)
    assert (found["partitions"], found["nodes"]) == (1, found["all_nodes"] - 2)


@pytest.mark.parametrize("recipe", ["float32", "float16", "int8-static"])
def test_every_layer_breaks_at_what_nnapi_does_not_know(written: Write, recipe: str) -> None:
    """Normalisation and GELU: an accelerator that knows neither gets three pieces of each layer."""
    found = {}
    for layers in (1, 3):
        file = written("token-classification", recipe, portable=True, bert={"num_hidden_layers": layers})
        found[layers] = TARGET.inspect(file.plan, file.path)["partitions"]["nnapi"]
    assert {layers: each["partitions"] for layers, each in found.items()} == {1: 2 + 3, 3: 2 + 3 * 3}
    assert all(0 < each["nodes"] < each["all_nodes"] for each in found.values())


def test_only_files_that_the_checker_reads_are_inspected(written: Write) -> None:
    for options in ({}, {"ort": True}, {"ort": True, "portable": True}):
        file = written("token-classification", **options)
        assert TARGET.inspect(file.plan, file.path) == {}
