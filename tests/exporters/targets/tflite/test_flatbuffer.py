"""Written files hold what was read, once, aligned, outside the flatbuffer, and the runtime can load them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from bertmobile.engines import open_engine
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets.tflite import buckets, flatbuffer
from tests.runtime_py.helpers import make_manifest

from . import conversions
from .conversions import Converted

LENGTHS = (8, 16, 32)

Convert = Callable[..., Converted]


@pytest.fixture(scope="session")
def source(converted: Convert) -> Converted:
    return converted("fill-mask")


@pytest.fixture(scope="session")
def int8(converted: Convert) -> bytes:
    return conversions.stored(converted("fill-mask", recipe="int8"), read_recipe("int8"))


def constants(model: flatbuffer.Model) -> list[list[bytes | None]]:
    """The bytes of every tensor of every subgraph."""
    found = []
    for subgraph in model.subgraphs:
        data = [flatbuffer.constant(model, tensor) for tensor in subgraph.tensors]
        found.append([None if values is None else values.tobytes() for values in data])
    return found


def stored(path: Path) -> list[tuple[int, int, int]]:
    """Offset, size and inline size of every buffer."""
    packed = schema.Model.GetRootAs(path.read_bytes())
    entries = [packed.Buffers(index) for index in range(packed.BuffersLength())]
    return [(entry.Offset(), entry.Size(), entry.DataLength()) for entry in entries]


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_a_written_model_holds_every_constant_it_had(
    recipe: str, source: Converted, int8: bytes, tmp_path: Path
) -> None:
    content = int8 if recipe == "int8" else source.content
    flatbuffer.write(flatbuffer.read(content), tmp_path / "model.tflite")
    written = flatbuffer.read((tmp_path / "model.tflite").read_bytes())
    assert constants(written) == constants(flatbuffer.read(content))


def test_a_written_model_holds_every_scale_it_had(int8: bytes, tmp_path: Path) -> None:
    def scales(model: flatbuffer.Model) -> list[tuple[bytes, bytes, int] | None]:
        tables = [tensor.quantization for tensor in model.subgraphs[0].tensors]
        return [
            None
            if table is None or table.scale is None
            else (
                np.asarray(table.scale).tobytes(),
                np.asarray(table.zeroPoint).tobytes(),
                table.quantizedDimension,
            )
            for table in tables
        ]

    flatbuffer.write(flatbuffer.read(int8), tmp_path / "model.tflite")
    expected = scales(flatbuffer.read(int8))
    assert any(expected)
    assert scales(flatbuffer.read((tmp_path / "model.tflite").read_bytes())) == expected


def test_equal_constants_are_stored_once(source: Converted, tmp_path: Path) -> None:
    model = flatbuffer.read(source.content)
    # A copy of the largest constant in a buffer of its own.
    tensor = max(
        (t for t in model.subgraphs[0].tensors if flatbuffer.constant(model, t) is not None),
        key=lambda t: len(model.buffers[t.buffer].data),
    )
    copy = schema.BufferT()
    copy.data = np.array(model.buffers[tensor.buffer].data)
    model.buffers.append(copy)
    users = [t for t in model.subgraphs[0].tensors if t.buffer == tensor.buffer]
    users[-1].buffer = len(model.buffers) - 1
    flatbuffer.write(model, tmp_path / "model.tflite")

    written = flatbuffer.read((tmp_path / "model.tflite").read_bytes())
    contents = [bytes(buffer.data) for buffer in written.buffers if buffer.data is not None]
    assert len(contents) == len(set(contents))


def test_the_first_buffer_stays_empty(source: Converted, tmp_path: Path) -> None:
    assert stored(source.write(tmp_path / "model.tflite", LENGTHS))[0] == (0, 0, 0)


def test_large_buffers_lie_aligned_outside_the_flatbuffer(source: Converted, tmp_path: Path) -> None:
    path = source.write(tmp_path / "model.tflite", LENGTHS)
    entries = stored(path)
    outside = sorted((offset, size) for offset, size, _ in entries if size)
    table = source.config.vocab_size * source.config.hidden_size * 4
    assert table in [size for _, size in outside]
    assert all(offset % 64 == 0 for offset, _ in outside)
    assert all(inline <= flatbuffer.INLINE_BYTES for _, _, inline in entries)
    ends = [offset + size for offset, size in outside]
    assert all(end <= start for end, (start, _) in zip(ends, outside[1:], strict=False))
    assert ends[-1] == path.stat().st_size


def test_the_largest_inline_buffer_and_the_smallest_outside_are_told_apart(
    source: Converted, tmp_path: Path
) -> None:
    sizes = {
        size: inline for _, size, inline in stored(source.write(tmp_path / "model.tflite", LENGTHS)) if size
    }
    assert min(sizes) > flatbuffer.INLINE_BYTES
    assert set(sizes.values()) == {0}


def test_signatures_share_their_quantization_tables(source: Converted, int8: bytes, tmp_path: Path) -> None:
    path = source.write(tmp_path / "model.tflite", LENGTHS, int8)
    packed = schema.Model.GetRootAs(path.read_bytes())
    positions = []
    for index in range(packed.SubgraphsLength()):
        subgraph = packed.Subgraphs(index)
        tables = [subgraph.Tensors(i).Quantization() for i in range(subgraph.TensorsLength())]
        positions.append([None if table is None else table._tab.Pos for table in tables])
    assert any(positions[0])
    assert positions[0] == positions[1] == positions[2]


def test_quantization_adds_no_scales_for_each_bucket(source: Converted, int8: bytes, tmp_path: Path) -> None:
    def growth(content: bytes) -> int:
        few = source.write(tmp_path / "few.tflite", LENGTHS[:1], content).stat().st_size
        return source.write(tmp_path / "many.tflite", LENGTHS, content).stat().st_size - few

    # A scale and a zero point for each word alone would be 12 bytes.
    assert growth(int8) - growth(source.content) < 12 * source.config.vocab_size


def test_writing_is_deterministic(source: Converted, int8: bytes, tmp_path: Path) -> None:
    first = source.write(tmp_path / "first.tflite", LENGTHS, int8).read_bytes()
    assert source.write(tmp_path / "second.tflite", LENGTHS, int8).read_bytes() == first


def test_tensor_names_keep_the_module_and_lose_the_class_path(source: Converted, tmp_path: Path) -> None:
    model = flatbuffer.read(source.write(tmp_path / "model.tflite", LENGTHS).read_bytes())
    names = [tensor.name.decode() for tensor in model.subgraphs[0].tensors]
    assert any("Layer_1/Linear_query" in name for name in names)
    assert not any("bertmobile_export" in name or "torch.nn" in name for name in names)


def test_both_runtimes_load_a_written_file_and_agree(source: Converted, int8: bytes, tmp_path: Path) -> None:
    for name, content in (("float32", source.content), ("int8", int8)):
        folder = tmp_path / name
        folder.mkdir()
        path = source.write(folder / "model.tflite", LENGTHS, content)
        manifest = make_manifest("fill-mask", mask_slots=source.slots, lengths=LENGTHS)
        manifest = replace(manifest, signatures={n: buckets.signature_name(n) for n in LENGTHS})
        engine = open_engine(folder, manifest)
        try:
            for length in LENGTHS:
                inputs = source.inputs(length, length - 2)
                runner = Interpreter(str(path)).get_signature_runner(buckets.signature_name(length))
                # Two builds of the same kernels may order a sum differently.
                np.testing.assert_allclose(
                    engine.run(inputs)["logits"], runner(**inputs)["logits"], rtol=0, atol=1e-3
                )
        finally:
            engine.close()
