"""What a package consists of, and what it says about itself."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertmobile_export.checkpoint import load_checkpoint

from .packages import LENGTHS, MODEL, WEIGHTS, Package, recipe

Write = Callable[..., Package]
SPECIFICATION_VERSIONS = {16: 7, 17: 8, 18: 9}
# For whoever runs these packages: all that may be in them.
KINDS = {
    "add",
    "cast",
    "concat",
    "const",
    "constexpr_affine_dequantize",
    "constexpr_blockwise_shift_scale",
    "constexpr_cast",
    "dequantize",
    "expand_dims",
    "gather",
    "gelu",
    "layer_norm",
    "linear",
    "matmul",
    "maximum",
    "mul",
    "quantize",
    "real_div",
    "reduce_max",
    "reduce_sum",
    "relu",
    "reshape",
    "scaled_dot_product_attention",
    "shape",
    "slice_by_index",
    "softmax",
    "sqrt",
    "squeeze",
    "sub",
    "tanh",
    "transpose",
}
LAYERS = 2
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
METADATA = "com.bertmobile."
WRITE = """
import sys
from pathlib import Path
import torch
from tests.exporters.targets.coreml.packages import write_package
torch.set_num_threads(1)
checkpoint, path = map(Path, sys.argv[1:3])
write_package(checkpoint, path, "fill-mask", "int8-static")
"""


@pytest.mark.parametrize("ios", SPECIFICATION_VERSIONS)
def test_the_system_version_decides_format_and_operators(ios: int, package: Write) -> None:
    written = package("fill-mask", "int8", ios)
    specification = written.specification()
    assert specification.specificationVersion == SPECIFICATION_VERSIONS[ios]
    assert specification.mlProgram.functions["main"].opset == f"CoreML{ios - 10}"
    kinds = written.kinds()
    fused = ios >= 18
    assert kinds["scaled_dot_product_attention"] == (LAYERS if fused else 0)
    assert kinds["softmax"] == (0 if fused else LAYERS)
    stored = "constexpr_blockwise_shift_scale" if fused else "constexpr_affine_dequantize"
    # Six matrices in a layer, the transform of the head, and the tables; the decoder is one of them.
    assert {kind: count for kind, count in kinds.items() if kind.startswith("constexpr")} == {
        stored: 6 * LAYERS + 1 + 3
    }


@pytest.mark.parametrize("name", ["float32", "float16", "int8", "int8-static"])
@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "feature-extraction"])
def test_only_known_operators_are_written(task: str, name: str, package: Write) -> None:
    kinds = package(task, name, 17).kinds()
    assert kinds.keys() <= KINDS
    # Gelu and normalisation are whole, not spelt out.
    assert kinds["layer_norm"] >= 2 * LAYERS + 1 and kinds["gelu"] >= LAYERS


def test_a_static_program_quantizes_each_input_of_linear_layers_once(package: Write) -> None:
    operations = package("fill-mask", "int8-static").operations()
    producers = {output.name: operation for operation in operations for output in operation.outputs}
    linears = [operation for operation in operations if operation.type == "linear"]
    for linear in linears:
        source = producers[linear.inputs["x"].arguments[0].name]
        assert source.type == "dequantize"
        assert producers[source.inputs["input"].arguments[0].name].type == "quantize"
        weight = producers[linear.inputs["weight"].arguments[0].name]
        assert weight.type == "constexpr_blockwise_shift_scale" and "offset" not in weight.inputs
    # Query, key and value read one input, but the last layer's queries are those of the masked rows.
    kinds = [operation.type for operation in operations]
    assert len(linears) == 6 * LAYERS + 2
    assert kinds.count("quantize") == kinds.count("dequantize") == 4 * LAYERS + 1 + 2


@pytest.mark.parametrize(("name", "size"), [("float32", 4), ("float16", 2), ("int8", 1)])
@pytest.mark.parametrize("ios", [16, 18])
def test_a_tied_table_is_stored_once(name: str, size: int, ios: int, package: Write) -> None:
    config = {"vocab_size": 4_000}
    tied, own = (
        package("fill-mask", name, ios, config={**config, "tie_word_embeddings": tie})
        for tie in (True, False)
    )
    table = 4_000 * tied.plan.config.hidden_size * size
    weights = [(written.path / WEIGHTS).stat().st_size for written in (tied, own)]
    assert table < weights[0] < 2 * table
    assert weights[1] - weights[0] == pytest.approx(table, rel=0.15)
    operations = tied.operations()
    (lookup,) = (each for each in operations if each.outputs[0].name == "encoder_embeddings_word")
    decoder = [each for each in operations if each.type == "linear"][-1]
    assert decoder.inputs["weight"].arguments[0].name == lookup.inputs["x"].arguments[0].name


def shapes(feature: Any) -> list[list[int]]:
    return sorted(list(each.shape) for each in feature.type.multiArrayType.enumeratedShapes.shapes)


def test_several_lengths_are_enumerated_in_one_order(package: Write) -> None:
    description = package("fill-mask", "float16").specification().description
    features = {feature.name: feature for feature in description.input}
    assert list(features) == [*INPUTS, "mask_positions"]
    for name in INPUTS:
        assert shapes(features[name]) == [[1, length] for length in LENGTHS]
        assert list(features[name].type.multiArrayType.shape) == [1, max(LENGTHS)]
        order = features[name].type.multiArrayType.enumeratedShapes
        assert order == features["input_ids"].type.multiArrayType.enumeratedShapes
    positions = features["mask_positions"].type.multiArrayType
    assert list(positions.shape) == [1, 5] and not positions.HasField("enumeratedShapes")


@pytest.mark.parametrize("ios", [16, 18])
def test_one_length_is_a_fixed_shape(ios: int, package: Write) -> None:
    written = package("fill-mask", "float16", ios, (16,))
    for feature in written.specification().description.input[:3]:
        kind = feature.type.multiArrayType
        assert list(kind.shape) == [1, 16] and kind.WhichOneof("ShapeFlexibility") is None
    assert written.kinds()["shape"] == 0


@pytest.mark.parametrize("name", ["float32", "float16", "int8-static"])
def test_inputs_are_int32_and_outputs_float32(name: str, package: Write) -> None:
    description = package("question-answering", name).specification().description
    array = description.input[0].type.multiArrayType
    assert {each.type.multiArrayType.dataType for each in description.input} == {array.INT32}
    assert {each.type.multiArrayType.dataType for each in description.output} == {array.FLOAT32}
    assert [each.name for each in description.output] == ["start_logits", "end_logits"]


def test_metadata_say_all_that_an_app_needs(checkpoint: Callable[..., Path], package: Write) -> None:
    labels = {0: "böse", 1: "gut"}
    config = {"id2label": labels, "label2id": {name: index for index, name in labels.items()}}
    description = package("text-classification", "int8", config=config).specification().description
    assert all(each.shortDescription for each in [*description.input, *description.output])
    metadata = description.metadata
    assert "text-classification" in metadata.shortDescription and "int8" in metadata.shortDescription
    entries = {
        name.removeprefix(METADATA): value
        for name, value in metadata.userDefined.items()
        if name.startswith(METADATA)
    }
    tokenizer = load_checkpoint(str(checkpoint("text-classification", **config))).tokenizer
    assert entries.pop("vocabulary") == tokenizer.vocab_txt.decode()
    assert entries.pop("task") == "text-classification" and entries.pop("recipe") == "int8"
    assert {name: json.loads(value) for name, value in entries.items()} == {
        "labels": ["böse", "gut"],
        "lengths": list(LENGTHS),
        "longest_word": 100,
        "added_tokens": [vars(token) for token in tokenizer.spec.added_tokens],
        "lower_case": True,
        "strip_accents": True,
        "tokenize_chinese_chars": True,
        "special_tokens": {role: token.id for role, token in tokenizer.spec.special_tokens.items()},
    }


def test_nothing_in_a_float16_program_underflows(package: Write) -> None:
    """BERT's epsilon, 1e-12, is 0 in float16."""
    operations = package("fill-mask", "float16").operations()
    constants = {
        operation.outputs[0].name: operation.attributes["val"].immediateValue.tensor
        for operation in operations
        if operation.type == "const"
    }
    norms = [operation for operation in operations if operation.type == "layer_norm"]
    assert len(norms) == 2 * LAYERS + 2
    for norm in norms:
        stored = constants[norm.inputs["epsilon"].arguments[0].name].bytes.values
        assert len(stored) == 2 and any(stored)


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(
    checkpoint: Callable[..., Path], package: Write, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "model.mlpackage"
    other.parent.mkdir()
    subprocess.run(
        [sys.executable, "-c", WRITE, checkpoint("fill-mask"), other], capture_output=True, check=True
    )
    here = package("fill-mask", "int8-static").path
    one, two = (
        {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
        for path in (other, here)
    )
    assert one.keys() == {MODEL, WEIGHTS, "Manifest.json"}
    assert one == two


def test_parts_are_named_by_their_content(package: Write) -> None:
    first, again, other = (package("next-sentence", name) for name in ("float16", "float16", "int8"))
    manifests = [json.loads((each.path / "Manifest.json").read_text()) for each in (first, again, other)]
    assert manifests[0] == manifests[1]
    assert manifests[0]["itemInfoEntries"].keys().isdisjoint(manifests[2]["itemInfoEntries"])
    for manifest, written in zip(manifests, (first, again, other), strict=True):
        root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
        assert written.path / "Data" / root["path"] == written.path / MODEL
        parts = [each["path"] for each in manifest["itemInfoEntries"].values()]
        assert all((written.path / "Data" / part).exists() for part in parts)


def test_no_date_is_noted(package: Write) -> None:
    content = (package("next-sentence", "float32").path / MODEL).read_bytes()
    assert b"coremltools.version" in content and b"conversion_date" not in content


def test_a_recipe_that_calibrates_only_the_encoder_quantizes_only_its_inputs(package: Write) -> None:
    operations = package("token-classification", recipe(16, 8, 16, "static")).operations()
    sources = [
        operation.inputs["x"].arguments[0].name for operation in operations if operation.type == "linear"
    ]
    assert sum(name.endswith("_dequantized") for name in sources) == 6 * LAYERS
    assert len(sources) == 6 * LAYERS + 1
