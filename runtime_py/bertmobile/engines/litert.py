"""LiteRT: runs ``.tflite`` bundles through its CompiledModel on the CPU."""

import importlib.util
import threading
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines import Tensors
from bertmobile.engines.weight_cache import WeightCache, cache_key
from bertmobile.errors import BundleError, MissingDependencyError, UsageError
from bertmobile.manifest import Manifest
from bertmobile.native_log import quiet_native_logs

NAME = "litert"
PACKAGE = "ai-edge-litert"


class _Signature:
    """One length bucket with input and output buffers that are reused from run to run."""

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self._name = name
        inputs = model.get_input_tensor_details(name)
        outputs = model.get_output_tensor_details(name)
        self._inputs = {key: model.create_input_buffer_by_name(name, key) for key in inputs}
        self._outputs = {key: model.create_output_buffer_by_name(name, key) for key in outputs}
        self._input_types = {key: (np.dtype(d["dtype"]), tuple(d["shape"])) for key, d in inputs.items()}
        self._output_types = {key: (np.dtype(d["dtype"]), tuple(d["shape"])) for key, d in outputs.items()}
        # The first write opens a second runtime environment, and its log.
        with quiet_native_logs():
            for key, (dtype, shape) in self._input_types.items():
                self._inputs[key].write(np.zeros(shape, dtype))

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        if inputs.keys() != self._input_types.keys():
            raise UsageError(
                f"{self._name} takes the inputs {', '.join(sorted(self._input_types))}, "
                f"not {', '.join(sorted(inputs))}"
            )
        for key, (dtype, shape) in self._input_types.items():
            if inputs[key].shape != shape:
                raise UsageError(f"{key} must have shape {shape}, not {inputs[key].shape}")
            if inputs[key].dtype.kind != dtype.kind:
                raise UsageError(f"{key} must be {dtype}, not {inputs[key].dtype}")
            self._inputs[key].write(np.ascontiguousarray(inputs[key], dtype=dtype))
        self._model.run_by_name(self._name, self._inputs, self._outputs)
        return {
            key: np.array(self._outputs[key].read(int(np.prod(shape)), dtype)).reshape(shape)
            for key, (dtype, shape) in self._output_types.items()
        }


class LiteRtEngine:
    """See :class:`bertmobile.engines.Engine`."""

    name = NAME

    def __init__(self, model: Any, environment: Any, manifest: Manifest) -> None:
        self._model = model
        self._names = dict(manifest.signatures)
        self._signatures: dict[int, _Signature] = {}
        self._lock = threading.Lock()
        # The library logs when it is torn down, which may be as late as the interpreter's exit.
        self._finalizer = weakref.finalize(self, _release, model, environment, self._signatures)

    @property
    def version(self) -> str:
        """Version of the LiteRT package."""
        from importlib.metadata import version  # its import takes longer than loading a model

        return version(PACKAGE)

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        if not self._finalizer.alive:
            raise UsageError("the engine is closed; open the bundle again")
        if "input_ids" not in inputs or inputs["input_ids"].ndim != 2:
            raise UsageError("input_ids [1, length] is missing or has another number of axes")
        length = inputs["input_ids"].shape[1]
        if length not in self._names:
            raise UsageError(f"no bucket of {length} tokens; this bundle has {sorted(self._names)}")
        with self._lock:
            if length not in self._signatures:
                self._signatures[length] = _Signature(self._model, self._names[length])
            return self._signatures[length].run(inputs)

    def close(self) -> None:
        self._finalizer()


def _library() -> str:
    """Which build of the runtime packs the weights; its version number takes longer to find than a load."""
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(PACKAGE, "tflite")
    stats = {path.name: path.stat() for path in Path(spec.origin).parent.glob("lib*.so")}
    return " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in sorted(stats.items()))


def _release(model: Any, environment: Any, signatures: dict[int, _Signature]) -> None:
    with quiet_native_logs():
        signatures.clear()
        model.close()
        environment.close()


def open_engine(
    folder: Path, manifest: Manifest, *, threads: int = 1, cache_dir: Path | None = None
) -> LiteRtEngine:
    """Load ``model.tflite`` of a bundle; see :func:`bertmobile.engines.open_engine`."""
    path = folder / manifest.model_file
    if cache_dir is None:
        return LiteRtEngine(*_compile(path, threads, None), manifest)
    entry = manifest.files[manifest.model_file]
    key = cache_key(entry.sha256, _library())
    try:
        cache = WeightCache(cache_dir, key)
    except OSError as failure:
        raise UsageError(
            f"{cache_dir} cannot hold a cache ({failure.strerror}); name another folder"
        ) from failure
    if not cache.has_room(entry.bytes):
        warnings.warn(f"the disk of {cache_dir} is nearly full; loading without a cache", stacklevel=2)
        return LiteRtEngine(*_compile(path, threads, None), manifest)
    try:
        compiled = _compile(path, threads, cache.path)
    except BundleError:
        # A cache that passed for good but cannot be used must not keep the model from loading.
        cache.discard()
        compiled = _compile(path, threads, None)
    else:
        cache.finish()
    return LiteRtEngine(*compiled, manifest)


def _compile(path: Path, threads: int, weight_cache: Path | None) -> tuple[Any, Any]:
    """The compiled model and the environment that must outlive it."""
    with quiet_native_logs():
        try:
            from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, HardwareAccelerator, Options
            from ai_edge_litert.environment import Environment, EnvironmentOptions
        except ImportError as failure:
            raise MissingDependencyError(PACKAGE, "tflite") from failure
        # An empty place to look for accelerators: the GPU library costs memory and is not used here.
        environment = Environment.create(options=EnvironmentOptions(runtime_path=str(path.parent)))
        cpu = CpuOptions(num_threads=threads, xnnpack_weight_cache_path=str(weight_cache or ""))
        options = Options(HardwareAccelerator.CPU, cpu_options=cpu)
        try:
            model = CompiledModel.from_file(str(path), environment=environment, options=options)
        except RuntimeError as failure:
            reason = " ".join(str(failure).split())
            raise BundleError(
                f"LiteRT cannot load {path.name}: {reason}; export the bundle again"
            ) from failure
        return model, environment
