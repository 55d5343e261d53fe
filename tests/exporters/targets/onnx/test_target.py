"""What the ONNX target refuses, and what it says about a plan."""

from typing import Any

import pytest

from bertmobile.errors import UsageError
from bertmobile_export.export import Request, make_plan
from bertmobile_export.recipes import read_recipe, recipe_names
from bertmobile_export.targets.onnx import TARGET
from tests.exporters.configs import make_config
from tests.messages import error_of

from .models import onnx_plan, recipe


@pytest.mark.parametrize("bits", [2, 3])
@pytest.mark.parametrize("group", ["embeddings", "encoder", "head"])
def test_the_narrowest_weights_are_refused(group: str, bits: int) -> None:
    widths = {"embeddings": 8, "encoder": 8, "head": 8} | {group: bits}
    message = error_of(UsageError, TARGET.check, onnx_plan("fill-mask", recipe(**widths)))
    assert f"{group} at {bits} bits" in message and "4, 5, 6, 8, 16, 32" in message


@pytest.mark.parametrize("option", ["ort", "portable"])
def test_narrow_weights_are_for_sessions_that_widen_them(option: str) -> None:
    chosen = recipe(4, 6, 8)
    TARGET.check(onnx_plan("fill-mask", chosen))
    message = error_of(UsageError, TARGET.check, onnx_plan("fill-mask", chosen, **{option: True}))
    assert f"--{option}" in message and "4 bits for embeddings" in message


@pytest.mark.parametrize(("bits", "size"), [(4, 12), (6, 32)])
def test_scaled_blocks_have_whole_bytes_and_small_codes(bits: int, size: int) -> None:
    chosen = recipe(bits, bits, 8, "dynamic", granularity="scaled-block", block_size=size)
    message = error_of(UsageError, TARGET.check, onnx_plan("fill-mask", chosen))
    assert "multiple of 8" in message or "give one of 4, 5" in message


def test_a_portable_file_cannot_quantize_while_it_runs() -> None:
    message = error_of(UsageError, TARGET.check, onnx_plan("fill-mask", "int8", portable=True))
    assert "--portable" in message and "int8-static" in message
    for allowed in ("float32", "float16", "int8-static"):
        TARGET.check(onnx_plan("fill-mask", allowed, portable=True))


def test_a_portable_file_has_one_length() -> None:
    plan = onnx_plan("fill-mask", portable=True, lengths=(16, 32))
    assert "--seq-len" in error_of(UsageError, TARGET.check, plan)


@pytest.mark.parametrize("widths", [(16, 16, 16), (16, 32, 32), (8, 8, 16)])
def test_half_precision_is_not_for_the_ort_format(widths: tuple[int, int, int]) -> None:
    plan = onnx_plan("fill-mask", recipe(*widths), ort=True)
    assert "--ort" in error_of(UsageError, TARGET.check, plan)


def test_a_model_above_two_gibibytes_is_refused_before_it_is_read() -> None:
    config = make_config(num_hidden_layers=48, hidden_size=1024, intermediate_size=4096, vocab_size=30_522)
    message = error_of(UsageError, TARGET.check, onnx_plan("fill-mask", config=config))
    assert "2.6 GB" in message and "--int8" in message
    for smaller in ("float16", "int8"):
        TARGET.check(onnx_plan("fill-mask", smaller, config=config))


@pytest.mark.parametrize(
    ("options", "lengths", "file"),
    [
        ({}, (32, 64, 128, 256), "model.onnx"),
        ({"ort": True}, (32, 64, 128, 256), "model.ort"),
        ({"portable": True}, (128,), "model.onnx"),
    ],
)
def test_a_request_becomes_a_plan(options: dict[str, Any], lengths: tuple[int, ...], file: str) -> None:
    request = Request(
        model="tiny", target="onnx", recipe=read_recipe("float32"), task="feature-extraction", **options
    )
    plan, target = make_plan(request, "tiny", make_config(architecture="BertModel"))
    assert plan.lengths == lengths and plan.dynamic == ("portable" not in options)
    assert target.model_file(plan) == file
    assert target.signatures(plan) == dict.fromkeys(lengths, "main")
    suffix = "".join(f"-{name}" for name in options)
    assert plan.bundle_name == f"tiny-feature-extraction-float32{suffix}.onnx"
    for spec in plan.inputs(target.input_dtype):
        assert spec.dtype == "int64" and spec.shape == ("batch" if plan.dynamic else 1, "length")


@pytest.mark.parametrize("name", recipe_names())
def test_activations_are_equalised_where_the_recipe_quantizes_them(name: str) -> None:
    plan = onnx_plan("fill-mask", name)
    found = TARGET.quantized_activations(plan)
    shared = {"float": None, "dynamic": "tensor", "static": "static"}[plan.recipe.activations]
    if plan.recipe.weights["encoder"].granularity == "block":
        shared = None  # the kernel gives each block of a row a range of its own
    assert (found.range if found else None) == shared
