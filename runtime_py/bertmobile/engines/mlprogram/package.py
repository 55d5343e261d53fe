"""Reads a ``.mlpackage``: a folder whose Manifest.json names the model file, beside which the weights lie.

The protobuf classes come with coremltools, but importing coremltools takes seconds and imports torch and
transformers where they are installed. So the classes are imported as a package of our own name.
"""

import importlib.util
import json
import sys
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from bertmobile.engines.mlprogram.program import Array, Program, build_program
from bertmobile.engines.mlprogram.weights import WeightFile
from bertmobile.errors import BundleError, MissingDependencyError

_PROTO = "_bertmobile_coreml_proto"
_MAIN = "main"


def read_package(path: Path) -> Program:
    """Read the main function of a saved ML Program.

    Args:
        path: the ``.mlpackage`` folder. Its weights are mapped into memory and must stay in place.

    Raises:
        MissingDependencyError: coremltools is not installed.
        BundleError: a damaged package, or one that does not hold an ML Program.
    """
    model_file = _model_file(path)
    model = _model_class()()
    try:
        model.ParseFromString(model_file.read_bytes())
    except import_module("google.protobuf.message").DecodeError as failure:
        raise BundleError(f"{path.name} is damaged: {model_file.name} cannot be read; {_AGAIN}") from failure
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        raise BundleError(f"{path.name} holds {kind or 'nothing'}, not an ML Program; {_AGAIN}")
    name = model.description.defaultFunctionName or _MAIN
    if name not in model.mlProgram.functions:
        raise BundleError(f"{path.name} is damaged: its program has no function {name}; {_AGAIN}")
    return build_program(model.mlProgram.functions[name], _Weights(model_file.parent / "weights").read)


_AGAIN = "export the bundle again"


class _Weights:
    """The weight files of a package, opened when first read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, WeightFile] = {}

    def read(self, name: str, offset: int, dtype: str, count: int) -> Array:
        if name not in self._files:
            self._files[name] = WeightFile(self._folder / name)
        return self._files[name].read(offset, dtype, count)


def _model_file(path: Path) -> Path:
    """The file that the package's manifest says is the model."""
    if not path.is_dir():
        raise BundleError(f"the package {path.name} is missing, or not a folder; {_AGAIN}")
    try:
        manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
        entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise BundleError(f"{path.name} is damaged: it has no valid Manifest.json; {_AGAIN}") from failure
    inside = PurePosixPath(entry)
    if inside.is_absolute() or ".." in inside.parts:
        raise BundleError(f"{path.name} is damaged: its model {entry} lies outside of it; {_AGAIN}")
    file = path / "Data" / inside
    if not file.is_file():
        raise BundleError(f"{path.name} is damaged: {entry} is missing; {_AGAIN}")
    return file


@cache
def _model_class() -> Any:
    """CoreML.Specification.Model."""
    spec = importlib.util.find_spec("coremltools")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("coremltools", "coreml")
    package = ModuleType(_PROTO)
    package.__path__ = [str(Path(spec.origin).parent / "proto")]
    sys.modules[_PROTO] = package
    return import_module(f"{_PROTO}.Model_pb2").Model
