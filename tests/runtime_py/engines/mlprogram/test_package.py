"""Packages are read without coremltools itself, and a damaged one says what is wrong with it."""

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.proto import Model_pb2

from bertmobile import BundleError, MissingDependencyError
from bertmobile.engines.mlprogram import package, read_package
from tests.messages import error_of

from .programs import mb, save

MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
X = np.ones((2, 40), np.float32)


def program(x: Any) -> Any:
    stored = np.arange(1200, dtype=np.int8).reshape(30, 40)
    scale = np.full((30, 1), 0.25, np.float32)
    weight = mb.constexpr_blockwise_shift_scale(data=stored, scale=scale, name="weight")
    moved = mb.add(x=x, y=np.linspace(0, 1, 40, dtype=np.float32), name="moved")
    return mb.linear(x=moved, weight=weight, name="answer")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "model.mlpackage"
    save(program, {"x": X}, path)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    read_package(saved)
    return Path(shutil.copytree(saved, tmp_path / "model.mlpackage"))


def message_of(path: Path) -> str:
    message = error_of(BundleError, read_package, path)
    assert "export the bundle again" in message
    return message


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change the specification and write it back."""
    model = Model_pb2.Model()
    model.ParseFromString((path / MODEL).read_bytes())
    change(model)
    (path / MODEL).write_bytes(model.SerializeToString())


def block(model: Any) -> Any:
    function = model.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "package gone.mlpackage is missing" in message_of(tmp_path / "gone.mlpackage")


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "model.mlpackage").write_bytes(b"")
    assert "not a folder" in message_of(tmp_path / "model.mlpackage")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff\xfe", b'{"itemInfoEntries": 3}'])
def test_a_missing_or_invalid_manifest(copy: Path, content: bytes | None) -> None:
    (copy / "Manifest.json").unlink() if content is None else (copy / "Manifest.json").write_bytes(content)
    assert "no valid Manifest.json" in message_of(copy)


@pytest.mark.parametrize("entry", ["../secret.mlmodel", "/etc/passwd"])
def test_a_manifest_that_leads_out_of_the_package(copy: Path, entry: str) -> None:
    document = json.loads((copy / "Manifest.json").read_text())
    document["itemInfoEntries"][document["rootModelIdentifier"]]["path"] = entry
    (copy / "Manifest.json").write_text(json.dumps(document))
    assert "lies outside of it" in message_of(copy)


def test_a_missing_model_file(copy: Path) -> None:
    (copy / MODEL).unlink()
    assert "com.apple.CoreML/model.mlmodel is missing" in message_of(copy)


def test_a_truncated_model_file(copy: Path) -> None:
    """Wherever it was cut: what is left either cannot be read or lacks something."""
    content = (copy / MODEL).read_bytes()
    for length in range(0, len(content), 37):
        (copy / MODEL).write_bytes(content[:length])
        message_of(copy)
    (copy / MODEL).write_bytes(content[:-20])
    assert "model.mlmodel cannot be read" in message_of(copy)


def test_another_kind_of_model(copy: Path) -> None:
    edit(copy, lambda model: model.identity.SetInParent())
    assert "holds identity, not an ML Program" in message_of(copy)


def test_a_program_without_a_main_function(copy: Path) -> None:
    edit(copy, lambda model: model.mlProgram.functions.pop("main"))
    assert "no function main" in message_of(copy)


def test_a_function_without_a_block_for_its_operators(copy: Path) -> None:
    def change(model: Any) -> None:
        model.mlProgram.functions["main"].opset = "CoreML99"

    edit(copy, change)
    assert "no block for CoreML99" in message_of(copy)


def test_a_value_that_nothing_computes(copy: Path) -> None:
    edit(copy, lambda model: block(model).operations.pop())
    assert "the outputs of the program need the value answer" in message_of(copy)


def test_an_operation_whose_input_is_gone(copy: Path) -> None:
    def change(model: Any) -> None:
        (place,) = (n for n, entry in enumerate(block(model).operations) if entry.type == "add")
        block(model).operations.pop(place)

    edit(copy, change)
    assert "answer of the program need the value moved" in message_of(copy)


def test_a_data_type_that_is_unknown(copy: Path) -> None:
    def change(model: Any) -> None:
        block(model).operations[-1].outputs[0].type.tensorType.dataType = 13

    edit(copy, change)
    assert "unknown data type, number 13" in message_of(copy)


def test_a_compressed_constant_that_does_not_decompress(copy: Path) -> None:
    def change(model: Any) -> None:
        (entry,) = (e for e in block(model).operations if e.type == "constexpr_blockwise_shift_scale")
        scale = entry.inputs["scale"].arguments[0].value.type.tensorType
        scale.dimensions[0].constant.size, scale.dimensions[1].constant.size = 1, 30

    edit(copy, change)
    assert "the constant weight cannot be decompressed" in message_of(copy)


def test_missing_weights(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    assert "weights weight.bin of the package are missing" in message_of(copy)


def test_an_empty_weight_file(copy: Path) -> None:
    (copy / WEIGHTS).write_bytes(b"")
    assert "too short" in message_of(copy)


def test_a_weight_file_of_another_version(copy: Path) -> None:
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[4:8] = struct.pack("<I", 3)
    (copy / WEIGHTS).write_bytes(content)
    assert "format version is 3, not 2" in message_of(copy)


def test_weights_that_were_cut_off(copy: Path) -> None:
    content = (copy / WEIGHTS).read_bytes()
    starts = [at for at in range(64, len(content), 64) if content[at : at + 4] == b"\xef\xbe\xad\xde"]
    for length in [64, *starts[1:], *(start + 64 for start in starts)]:
        (copy / WEIGHTS).write_bytes(content[:length])
        assert "outside of its" in message_of(copy)


def test_a_blob_that_is_none(copy: Path) -> None:
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[64:68] = b"\0\0\0\0"
    (copy / WEIGHTS).write_bytes(content)
    assert "no blob at 64" in message_of(copy)


def test_a_blob_of_another_type_or_size(copy: Path) -> None:
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[68:72] = struct.pack("<I", 1)
    (copy / WEIGHTS).write_bytes(content)
    assert "of fp16, not " in message_of(copy)


def test_without_coremltools_the_extra_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package.importlib.util, "find_spec", lambda name: None)
    package._model_class.cache_clear()
    try:
        message = error_of(MissingDependencyError, read_package, saved)
    finally:
        package._model_class.cache_clear()
    assert "pip install 'bertmobile[coreml]'" in message


ALONE = """
import sys
from pathlib import Path
import numpy as np
from bertmobile.engines.mlprogram import Evaluator, read_package
evaluator = Evaluator(read_package(Path(sys.argv[1])), rounding=True)
print(float(evaluator.run({"x": np.ones((2, 40), np.float32)})["answer"].sum()))
print(sorted({"torch", "transformers", "scipy", "coremltools"} & set(sys.modules)))
"""


def test_reading_and_running_import_neither_torch_nor_coremltools(saved: Path) -> None:
    from bertmobile.engines.mlprogram import Evaluator

    done = subprocess.run(
        [sys.executable, "-c", ALONE, saved], capture_output=True, text=True, check=True, cwd="/"
    )
    total, imported = done.stdout.splitlines()
    here = Evaluator(read_package(saved), rounding=True).run({"x": X})["answer"]
    assert float(total) == float(here.sum())
    assert imported == "[]" and done.stderr == ""


BEFORE_COREMLTOOLS = """
import sys
from pathlib import Path
from bertmobile.engines.mlprogram import read_package
program = read_package(Path(sys.argv[1]))
import coremltools
model = coremltools.models.MLModel(sys.argv[1], skip_model_load=True)
assert model.get_spec().WhichOneof("Type") == "mlProgram"
print(len(program.operations))
"""


@pytest.mark.slow
def test_coremltools_may_be_imported_afterwards(saved: Path) -> None:
    """Both register the same protobuf messages; that it may come first, every other test here shows."""
    assert "coremltools" in sys.modules
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_COREMLTOOLS, saved], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "2"
