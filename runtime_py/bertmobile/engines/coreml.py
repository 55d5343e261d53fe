"""Core ML on macOS: runs ``.mlpackage`` bundles through coremltools.

coremltools imports torch, transformers and scikit-learn where they are installed, which takes seconds; its
Core ML bindings cannot be had without.
"""

import logging
import platform
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines import Tensors
from bertmobile.errors import BundleError, MissingDependencyError, UsageError
from bertmobile.manifest import Manifest

NAME = "coreml"
PACKAGE = "coremltools"


class CoreMlEngine:
    """See :class:`bertmobile.engines.Engine`."""

    name = NAME

    def __init__(self, model: Any, version: str, manifest: Manifest) -> None:
        self._model = model
        self._version = version
        self._inputs = manifest.inputs
        self._outputs = manifest.outputs
        self._lengths = manifest.lengths

    @property
    def version(self) -> str:
        """Versions of macOS, of which Core ML is a part, and of coremltools."""
        return self._version

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        if self._model is None:
            raise UsageError("the engine is closed; open the bundle again")
        names = {spec.name for spec in self._inputs}
        if inputs.keys() != names:
            raise UsageError(
                f"the model takes the inputs {', '.join(sorted(names))}, not {', '.join(sorted(inputs))}"
            )
        length = inputs["input_ids"].shape[-1] if inputs["input_ids"].ndim else 0
        if length not in self._lengths:
            raise UsageError(f"no bucket of {length} tokens; this bundle has {sorted(self._lengths)}")
        for spec in self._inputs:
            shape = tuple(length if size == "length" else size for size in spec.shape)
            if inputs[spec.name].shape != shape:
                raise UsageError(f"{spec.name} must have shape {shape}, not {inputs[spec.name].shape}")
        outputs = self._model.predict({name: value.astype(np.int32) for name, value in inputs.items()})
        return {spec.name: np.array(outputs[spec.name], np.float32) for spec in self._outputs}

    def close(self) -> None:
        self._model = None


def open_engine(
    folder: Path, manifest: Manifest, *, threads: int = 1, cache_dir: Path | None = None
) -> CoreMlEngine:
    """Load the package of a bundle into Core ML, which compiles it and chooses the compute units.

    Neither ``threads`` nor ``cache_dir`` has an effect: Core ML decides both. See
    :func:`bertmobile.engines.open_engine` for the rest.

    Raises:
        UsageError: this is not macOS.
    """
    if sys.platform != "darwin":
        raise UsageError("Core ML runs on macOS only; leave --engine out to use mlprogram-evaluator")
    # Its remarks on the versions of packages that conversion would need go to the log and to warnings.
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            coremltools = import_module(PACKAGE)
        except ImportError as failure:
            raise MissingDependencyError(PACKAGE, "coreml") from failure
        path = folder / manifest.model_file
        try:
            model = coremltools.models.MLModel(str(path), compute_units=coremltools.ComputeUnit.ALL)
        except Exception as failure:  # what Core ML reports has no type of its own
            reason = " ".join(str(failure).split())
            raise BundleError(
                f"Core ML cannot load {path.name}: {reason}; export the bundle again"
            ) from failure
    version = f"macOS {platform.mac_ver()[0]}, {PACKAGE} {coremltools.__version__}"
    return CoreMlEngine(model, version, manifest)
