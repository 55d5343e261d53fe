"""Engines run a bundle's model file; each lives in a module of its own and is imported only when used."""

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest

Tensors = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """Runs one model file. Not safe for use from several threads at once."""

    name: str

    @property
    def version(self) -> str:
        """Version of the library that runs the model."""
        ...

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Run the model once.

        Args:
            inputs: the manifest's inputs by name; ``input_ids`` is [1, length] with a length that is one of
                the manifest's buckets, and chooses the signature.

        Returns:
            The manifest's outputs by name, as arrays of the caller's own.
        """
        ...

    def close(self) -> None:
        """Release the model; the engine cannot be used afterwards."""
        ...


# engine name -> (target it runs, module, function that opens a bundle); the first that suits is the default
_ENGINES = {
    "litert": ("tflite", "bertmobile.engines.litert", "open_engine"),
    "onnxruntime": ("onnx", "bertmobile.engines.onnxruntime", "open_engine"),
    "mlprogram-evaluator": ("coreml", "bertmobile.engines.mlprogram", "open_engine"),
    "mlprogram-evaluator-fp32": ("coreml", "bertmobile.engines.mlprogram", "open_float32_engine"),
    "coreml": ("coreml", "bertmobile.engines.coreml", "open_engine"),
}


def open_engine(
    folder: Path,
    manifest: Manifest,
    *,
    engine: str | None = None,
    threads: int = 1,
    cache_dir: Path | None = None,
) -> Engine:
    """Open the model file of a bundle.

    Args:
        folder: the bundle.
        manifest: its manifest.
        engine: name of an engine; by default the first that runs the bundle's target.
        threads: CPU threads.
        cache_dir: folder for the engine's caches, created when missing; without it nothing is cached.

    Raises:
        UsageError: no such engine, or one that cannot run this target.
        MissingDependencyError: the engine's package is not installed.
        BundleError: the model file cannot be loaded.
    """
    known = [name for name, (target, *_) in _ENGINES.items() if target == manifest.target]
    if sys.platform == "darwin" and "coreml" in known:
        known.sort(key=lambda name: name != "coreml")
    name = engine or (known[0] if known else None)
    if name not in known:
        raise UsageError(
            f"no engine {name or ''} for target {manifest.target}; known: {', '.join(known) or 'none'}"
        )
    _, module, function = _ENGINES[name]
    opener = getattr(import_module(module), function)
    opened: Engine = opener(folder, manifest, threads=threads, cache_dir=cache_dir)
    return opened
