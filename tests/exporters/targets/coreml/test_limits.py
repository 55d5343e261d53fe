"""What Core ML cannot hold is refused before anything is converted, and sizes are known before as well."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bertmobile.errors import UsageError
from bertmobile_export.targets.coreml import TARGET
from bertmobile_export.targets.coreml.size import VOCABULARY_BYTES
from tests.messages import error_of

from .packages import Package, coreml_plan, recipe

Write = Callable[..., Package]
WITHIN = 0.03


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


@pytest.mark.parametrize("bits", [2, 4])
def test_fewer_than_8_bits_are_refused(bits: int) -> None:
    plan = coreml_plan("fill-mask", recipe(16, bits, 8))
    message = error_of(UsageError, TARGET.check, plan)
    assert "8, 16 or 32 bits" in message and f"{bits} for encoder" in message


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
