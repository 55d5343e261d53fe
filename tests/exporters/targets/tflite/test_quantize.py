"""Recipes become the quantizer's rules, and the files hold their weights in the recipe's formats."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from bertmobile.errors import UsageError
from bertmobile_export.checkpoint import load_checkpoint
from bertmobile_export.model_file import prepare, write_file
from bertmobile_export.recipes import Recipe, parse_recipe, read_recipe
from bertmobile_export.targets.tflite import TARGET, buckets, flatbuffer, quantize
from bertmobile_export.texts import Sample, TextSet
from tests.checkpoints import make_checkpoint
from tests.exporters.configs import make_plan
from tests.messages import error_of

from .conversions import Converted, stored, weight_tensors

LENGTHS = (8, 32)
LAYERS = 2
# Six projections in a layer.
PROJECTIONS = 6 * LAYERS
TABLES = 3

Convert = Callable[..., Converted]


def recipe(embeddings: int, encoder: int, head: int, activations: str = "dynamic", **more: Any) -> Recipe:
    weights = {
        group: {"bits": bits, **more}
        for group, bits in (("embeddings", embeddings), ("encoder", encoder), ("head", head))
    }
    return parse_recipe({"name": "own", "weights": weights, "activations": activations}, source="own")


def rule_for(rules: list[dict[str, Any]], operator: str, scope: str) -> dict[str, Any] | None:
    """The rule that decides on an operator, as litert-quantizer reads them: the last one that matches."""
    matching = [r for r in rules if r["operation"] == operator and re.search(r["regex"], scope)]
    return matching[-1] if matching else None


def bits(rule: dict[str, Any] | None) -> int | None:
    return None if rule is None else rule["op_config"]["weight_tensor_config"]["num_bits"]


LAYER = "Network/Layer_1/Linear_intermediate;"
TRANSFORM = "Network/MaskedLanguageModelHead_head/Linear_transform;"
DECODER = "serving_default_logits_0:0"


def test_float32_has_no_rules_and_leaves_the_file_as_it_is() -> None:
    assert quantize.quantizer_recipe(read_recipe("float32"), tied_decoder=True) == []
    content = b"not even a model"
    assert quantize.quantize(content, read_recipe("float32"), tied_decoder=True) is content


def test_each_group_of_weights_follows_its_own_format() -> None:
    rules = quantize.quantizer_recipe(recipe(16, 8, 4, "float"), tied_decoder=False)
    assert bits(rule_for(rules, "EMBEDDING_LOOKUP", "anything")) == 16
    assert bits(rule_for(rules, "FULLY_CONNECTED", LAYER)) == 8
    assert bits(rule_for(rules, "FULLY_CONNECTED", TRANSFORM)) == 4
    assert bits(rule_for(rules, "FULLY_CONNECTED", DECODER)) == 4


def test_a_tied_decoder_follows_the_embeddings_because_the_last_rule_wins() -> None:
    rules = quantize.quantizer_recipe(recipe(16, 8, 4, "float"), tied_decoder=True)
    decoder = rule_for(rules, "FULLY_CONNECTED", DECODER)
    assert bits(decoder) == 16
    assert decoder == rules[-1]
    assert bits(rule_for(rules, "FULLY_CONNECTED", TRANSFORM)) == 4
    assert bits(rule_for(rules, "FULLY_CONNECTED", LAYER)) == 8


def test_only_projections_get_static_activations() -> None:
    rules = quantize.quantizer_recipe(read_recipe("int8-static"), tied_decoder=True)
    carrying = {r["operation"] for r in rules if "activation_tensor_config" in r["op_config"]}
    assert carrying == {"FULLY_CONNECTED"} == set(quantize.STATIC_OPERATORS)
    for rule in rules:
        assert ("activation_tensor_config" in rule["op_config"]) == (rule["operation"] == "FULLY_CONNECTED")


def test_dynamic_and_float_recipes_fix_no_activation_ranges() -> None:
    for chosen in (recipe(8, 8, 8, "float"), read_recipe("float16")):
        rules = quantize.quantizer_recipe(chosen, tied_decoder=True)
        assert rules
        assert not any("activation_tensor_config" in rule["op_config"] for rule in rules)


def test_codes_with_dynamic_activations_need_no_rules() -> None:
    assert quantize.quantizer_recipe(read_recipe("int8"), tied_decoder=True) == []
    rules = quantize.quantizer_recipe(recipe(16, 8, 8), tied_decoder=False)
    assert [rule["operation"] for rule in rules] == ["EMBEDDING_LOOKUP"]


def test_granularity_reaches_the_quantizer() -> None:
    for granularity, name in (("tensor", "TENSORWISE"), ("channel", "CHANNELWISE")):
        rules = quantize.quantizer_recipe(
            recipe(8, 8, 8, "float", granularity=granularity), tied_decoder=False
        )
        found = {rule["op_config"]["weight_tensor_config"]["granularity"] for rule in rules}
        assert found == {name}


def assert_outside_types(model: flatbuffer.Model) -> None:
    """Integers in, float32 out, whatever happens inside."""
    for subgraph in model.subgraphs:
        assert {subgraph.tensors[i].type for i in subgraph.inputs} == {schema.TensorType.INT32}
        assert {subgraph.tensors[i].type for i in subgraph.outputs} == {schema.TensorType.FLOAT32}


def written(source: Converted, chosen: Recipe, path: Path) -> flatbuffer.Model:
    return flatbuffer.read(source.write(path, LENGTHS, stored(source, chosen)).read_bytes())


@pytest.mark.parametrize(
    ("name", "kind", "size"),
    [("int8", schema.TensorType.INT8, 1), ("float16", schema.TensorType.FLOAT16, 2)],
)
def test_every_weight_matrix_has_the_recipes_type(
    name: str, kind: int, size: int, converted: Convert, tmp_path: Path
) -> None:
    source = converted("fill-mask", recipe=name)
    model = written(source, read_recipe(name), tmp_path / "model.tflite")
    found = weight_tensors(model)
    # Projections of the layers, transform and decoder; words, positions and segments.
    assert len(found) == len(LENGTHS) * (PROJECTIONS + 2 + TABLES)
    assert {tensor.type for _, tensor in found} == {kind}
    assert_outside_types(model)
    table = source.config.vocab_size * source.config.hidden_size * size
    sizes = [len(buffer.data) for buffer in model.buffers if buffer.data is not None]
    assert sizes.count(table) == 1
    assert max(sizes) == table


def test_weights_are_quantized_with_a_scale_for_each_channel(converted: Convert, tmp_path: Path) -> None:
    model = written(converted("fill-mask", recipe="int8"), read_recipe("int8"), tmp_path / "model.tflite")
    for _, tensor in weight_tensors(model):
        assert len(tensor.quantization.scale) == tensor.shape[0]
        assert tensor.quantization.quantizedDimension == 0


def test_a_float_recipe_with_narrow_weights_only_stores_them_so(converted: Convert, tmp_path: Path) -> None:
    source = converted("fill-mask")
    model = written(source, recipe(8, 8, 8, "float"), tmp_path / "model.tflite")
    assert {tensor.type for _, tensor in weight_tensors(model)} == {schema.TensorType.INT8}
    runner = Interpreter(str(tmp_path / "model.tflite")).get_signature_runner(buckets.signature_name(32))
    inputs = source.inputs(32, 20)
    expected = source.expected(inputs)["logits"]
    assert np.corrcoef(runner(**inputs)["logits"].ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.slow
def test_a_static_export_quantizes_all_projections_and_neither_inputs_nor_outputs(tmp_path: Path) -> None:
    task = "fill-mask"
    checkpoint = load_checkpoint(str(make_checkpoint(tmp_path / "source", task)))
    plan = make_plan(task, "int8-static", config=checkpoint.config, lengths=LENGTHS)
    texts = TextSet(
        tuple(
            Sample(f"the {word} house is [MASK] and {word}")
            for word in ["old", "new", "small", "big", "good"]
        ),
        "builtin",
    )
    prepared = prepare(plan, TARGET, checkpoint, texts)
    path = tmp_path / TARGET.model_file(plan)
    write_file(prepared, plan, TARGET, checkpoint, path)

    model = flatbuffer.read(path.read_bytes())
    assert_outside_types(model)
    found = weight_tensors(model)
    assert len(found) == len(LENGTHS) * (PROJECTIONS + 2 + TABLES)
    assert {tensor.type for _, tensor in found} == {schema.TensorType.INT8}
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            kinds = {subgraph.tensors[i].type for i in (operator.inputs[0], operator.outputs[0])}
            if flatbuffer.operator_name(model, operator) == "FULLY_CONNECTED":
                assert kinds == {schema.TensorType.INT8}
            elif flatbuffer.operator_name(model, operator) in ("SOFTMAX", "GELU", "RSQRT", "BATCH_MATMUL"):
                assert kinds == {schema.TensorType.FLOAT32}
    table = [checkpoint.config.vocab_size, checkpoint.config.hidden_size]
    assert len({tensor.buffer for _, tensor in found if list(tensor.shape) == table}) == 1

    runner = Interpreter(str(path)).get_signature_runner(buckets.signature_name(32))
    sample = {
        name: (values if name == "mask_positions" else values[:, :32]).astype(np.int32)
        for name, values in prepared.samples[0].items()
    }
    assert runner(**sample)["logits"].dtype == np.float32


def test_an_impossible_recipe_is_refused(converted: Convert) -> None:
    message = error_of(
        UsageError,
        quantize.quantize,
        converted("fill-mask").content,
        recipe(2, 2, 2, "static"),
        tied_decoder=True,
    )
    assert "own" in message


@pytest.mark.parametrize("bits", [(16, 8, 8), (8, 8, 32), (32, 8, 16)])
def test_static_activations_with_floating_point_weights_are_refused(bits: tuple[int, int, int]) -> None:
    plan = make_plan("fill-mask", recipe="int8", lengths=LENGTHS)
    message = error_of(UsageError, TARGET.check, replace(plan, recipe=recipe(*bits, "static")))
    assert "own" in message and "bits with static activations" in message
    TARGET.check(plan)


def test_two_bit_lookups_are_refused_before_anything_is_converted() -> None:
    plan = make_plan("fill-mask", recipe="int8", lengths=LENGTHS)
    message = error_of(UsageError, TARGET.check, replace(plan, recipe=recipe(2, 8, 8, "dynamic")))
    assert "embeddings at 2 bits" in message and "4, 8, 16, 32" in message
    TARGET.check(replace(plan, recipe=recipe(4, 2, 2, "dynamic")))
