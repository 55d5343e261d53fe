"""What Core ML cannot hold is refused before anything is converted, and sizes are known before as well."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bertmobile.errors import UsageError
from bertmobile_export.recipes import Recipe, parse_recipe
from bertmobile_export.sizes import matrices
from bertmobile_export.targets.coreml import TARGET
from bertmobile_export.targets.coreml.size import VOCABULARY_BYTES
from tests.exporters.configs import make_config
from tests.messages import error_of

from .packages import Package, coreml_plan

Write = Callable[..., Package]
WITHIN = 0.03


def weights_of(modules: dict[str, Any] | None = None, **groups: Any) -> Recipe:
    """A recipe of 8 bits but for some groups or modules."""
    weights = {group: groups.get(group, {"bits": 8}) for group in ("embeddings", "encoder", "head")}
    document = {"name": "own", "weights": weights, "modules": modules or {}, "activations": "float"}
    return parse_recipe(document, source="own")


@pytest.mark.parametrize("ios", [15, 19, 26])
def test_an_unknown_system_is_refused(ios: int) -> None:
    plan = replace(coreml_plan("fill-mask", "float16"), ios=ios)
    message = error_of(UsageError, TARGET.check, plan)
    assert f"iOS {ios}" in message and "16, 17, 18" in message


def test_static_activations_need_ios_17() -> None:
    plan = coreml_plan("fill-mask", "int8-static", 16)
    message = error_of(UsageError, TARGET.check, plan)
    assert "int8-static" in message and "--ios 17" in message
    TARGET.check(replace(plan, ios=17))


@pytest.mark.parametrize("ios", [16, 17])
def test_several_lengths_need_ios_18(ios: int) -> None:
    plan = replace(coreml_plan("fill-mask", "int8"), ios=ios)
    message = error_of(UsageError, TARGET.check, plan)
    assert "--ios 18" in message and "--seq-len" in message
    TARGET.check(replace(plan, lengths=plan.lengths[:1]))
    TARGET.check(replace(plan, ios=18))


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ({"bits": 4, "granularity": "block", "block_size": 8}, 18),
        ({"bits": 4, "granularity": "palette", "block_size": 8}, 18),
        ({"bits": 3, "granularity": "palette", "block_size": 32}, 18),
    ],
)
@pytest.mark.parametrize("ios", [16, 17])
def test_what_a_system_cannot_hold_is_refused_with_the_first_that_can(
    form: dict[str, Any], first: int, ios: int
) -> None:
    chosen = weights_of(encoder=form)
    message = error_of(UsageError, TARGET.check, coreml_plan("fill-mask", chosen, ios))
    assert f"--ios {first}" in message and "encoder.layers.0" in message
    TARGET.check(coreml_plan("fill-mask", chosen, first))


def test_before_ios_18_one_palette_serves_a_matrix() -> None:
    config = make_config()
    sizes = {name: rows for name, rows, _ in matrices(coreml_plan("fill-mask", "int8", config=config))}
    modules = {
        name: {"bits": 6, "granularity": "palette", "block_size": rows} for name, rows in sizes.items()
    }
    TARGET.check(coreml_plan("fill-mask", weights_of(modules=modules), 16, config=config))


@pytest.mark.parametrize(
    "form",
    [
        {"bits": 5, "granularity": "channel"},
        {"bits": 2, "granularity": "block", "block_size": 8},
    ],
)
def test_what_no_system_holds_is_refused(form: dict[str, Any]) -> None:
    message = error_of(UsageError, TARGET.check, coreml_plan("fill-mask", weights_of(encoder=form)))
    assert "in no version" in message


@pytest.mark.parametrize(
    "form",
    [
        {"bits": 4, "granularity": "block", "block_size": 7},
        {"bits": 4, "granularity": "palette", "block_size": 7},
    ],
)
def test_sizes_that_do_not_divide_a_matrix_are_refused(form: dict[str, Any]) -> None:
    message = error_of(UsageError, TARGET.check, coreml_plan("fill-mask", weights_of(encoder=form)))
    assert "7" in message


def test_dynamic_activations_are_weights_alone() -> None:
    assert TARGET.quantized_activations(coreml_plan("fill-mask", "int8")) is None
    assert TARGET.quantized_activations(coreml_plan("fill-mask", "int8-static")) is not None


def test_every_length_is_the_one_function() -> None:
    plan = coreml_plan("fill-mask", "int8", lengths=(16, 32))
    assert TARGET.signatures(plan) == {16: "main", 32: "main"}


@pytest.mark.parametrize("task", ["fill-mask", "feature-extraction"])
@pytest.mark.parametrize(
    ("name", "ios"), [("float32", 18), ("float16", 16), ("int8", 18), ("int8-static", 17)]
)
def test_predicted_sizes_are_within_3_percent(task: str, name: str, ios: int, package: Write) -> None:
    config = {"hidden_size": 128, "intermediate_size": 512, "vocab_size": 12_000, "num_hidden_layers": 3}
    written = package(task, name, ios, config=config)
    assert written.bytes > 1_000_000
    # The metadata hold the vocabulary, whose size is taken to be that of BERT's; this one is short.
    vocabulary = len(written.specification().description.metadata.userDefined["com.bertmobile.vocabulary"])
    rest = written.bytes - vocabulary + written.plan.config.vocab_size * VOCABULARY_BYTES
    assert TARGET.predict_bytes(written.plan) == pytest.approx(rest, rel=WITHIN)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "largest"), [("float16", 83_500_000), ("int8", 42_500_000)])
def test_the_usual_mobile_model_is_as_small_as_its_weights(name: str, largest: int, package: Write) -> None:
    config = {
        "vocab_size": 30_522,
        "hidden_size": 512,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "intermediate_size": 2048,
        "max_position_embeddings": 512,
    }
    written = package("fill-mask", name, lengths=(32, 64, 128, 256), config=config)
    assert written.bytes + written.plan.config.vocab_size * VOCABULARY_BYTES < largest
