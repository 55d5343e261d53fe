"""ONNX Runtime: runs ``.onnx`` and ``.ort`` bundles on the CPU."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines import Tensors
from bertmobile.errors import BundleError, MissingDependencyError, UsageError
from bertmobile.manifest import Manifest, TensorSpec

NAME = "onnxruntime"
# What the library logs as an error it raises too.
FATAL_ONLY = 4


class OnnxRuntimeEngine:
    """See :class:`bertmobile.engines.Engine`."""

    name = NAME

    def __init__(self, session: Any, manifest: Manifest) -> None:
        self._session = session
        self._manifest = manifest
        self._specs = {spec.name: spec for spec in manifest.inputs}
        self._outputs = [spec.name for spec in manifest.outputs]

    @property
    def version(self) -> str:
        """Version of the ONNX Runtime package."""
        import onnxruntime

        return str(onnxruntime.__version__)

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        if self._session is None:
            raise UsageError("the engine is closed; open the bundle again")
        if inputs.keys() != self._specs.keys():
            raise UsageError(
                f"the model takes the inputs {', '.join(sorted(self._specs))}, "
                f"not {', '.join(sorted(inputs))}"
            )
        sizes: dict[int | str, int] = {}
        feeds = {name: _checked(spec, inputs[name], sizes) for name, spec in self._specs.items()}
        self._check_length(inputs["input_ids"].shape[1])
        try:
            outputs = self._session.run(self._outputs, feeds)
        except Exception as failure:  # the library's exceptions share no base of their own
            raise UsageError(
                f"ONNX Runtime cannot run these inputs: {_reason(failure)}; give ids of the bundle's "
                "vocabulary, and positions inside the text"
            ) from failure
        return dict(zip(self._outputs, outputs, strict=True))

    def _check_length(self, length: int) -> None:
        manifest = self._manifest
        if not manifest.dynamic and length not in manifest.lengths:
            raise UsageError(f"no bucket of {length} tokens; this bundle has {sorted(manifest.lengths)}")
        if length > manifest.lengths[-1]:
            raise UsageError(f"{length} tokens are more than this bundle's {manifest.lengths[-1]}")

    def close(self) -> None:
        self._session = None


def _checked(spec: TensorSpec, values: NDArray[Any], sizes: dict[int | str, int]) -> NDArray[Any]:
    """``values`` in the model's type; ``sizes`` takes what the symbolic sizes stand for in this run."""
    fits = values.ndim == len(spec.shape) and all(
        actual == (size if isinstance(size, int) else sizes.setdefault(size, actual))
        for size, actual in zip(spec.shape, values.shape, strict=True)
    )
    if not fits:
        known = [sizes.get(size, size) for size in spec.shape]
        raise UsageError(f"{spec.name} must have shape {known}, not {list(values.shape)}")
    if values.dtype.kind != "i":
        raise UsageError(f"{spec.name} must be {spec.dtype}, not {values.dtype}")
    return np.ascontiguousarray(values, dtype=spec.dtype)


def _reason(failure: Exception) -> str:
    return " ".join(str(failure).split())


def open_engine(
    folder: Path, manifest: Manifest, *, threads: int = 1, cache_dir: Path | None = None
) -> OnnxRuntimeEngine:
    """Load the model file of a bundle; see :func:`bertmobile.engines.open_engine`. Nothing is cached."""
    # Releases after ours report usage unless told not to, and this one may be replaced by a newer one.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as failure:
        raise MissingDependencyError("onnxruntime", "onnx") from failure
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    path = folder / manifest.model_file
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as failure:  # the library's exceptions share no base of their own
        raise BundleError(
            f"ONNX Runtime cannot load {path.name}: {_reason(failure)}; export the bundle again"
        ) from failure
    return OnnxRuntimeEngine(session, manifest)
