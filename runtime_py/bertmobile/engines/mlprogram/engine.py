"""The evaluator as an engine of bundles."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bertmobile.engines import Tensors
from bertmobile.engines.mlprogram.evaluator import Evaluator
from bertmobile.engines.mlprogram.package import read_package
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest

NAME = "mlprogram-evaluator"
FLOAT32_NAME = "mlprogram-evaluator-fp32"
PACKAGE = "coremltools"


class MlProgramEngine:
    """See :class:`bertmobile.engines.Engine`. Not Core ML itself: see :mod:`bertmobile.engines.mlprogram`."""

    def __init__(self, name: str, evaluator: Evaluator, manifest: Manifest) -> None:
        self.name = name
        self._evaluator: Evaluator | None = evaluator
        self._inputs = manifest.inputs
        self._lengths = manifest.lengths

    @property
    def version(self) -> str:
        """Version of coremltools, which defines the format."""
        from importlib.metadata import version  # its import takes longer than a short run

        return version(PACKAGE)

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        if self._evaluator is None:
            raise UsageError("the engine is closed; open the bundle again")
        if "input_ids" not in inputs or inputs["input_ids"].ndim != 2:
            raise UsageError("input_ids [1, length] is missing or has another number of axes")
        length = inputs["input_ids"].shape[1]
        if length not in self._lengths:
            raise UsageError(f"no bucket of {length} tokens; this bundle has {sorted(self._lengths)}")
        # A program of several lengths declares none of them, so that it cannot check this itself.
        for spec in self._inputs:
            shape = tuple(length if size == "length" else size for size in spec.shape)
            if spec.name in inputs and inputs[spec.name].shape != shape:
                raise UsageError(f"{spec.name} must have shape {shape}, not {inputs[spec.name].shape}")
        return self._evaluator.run(inputs)

    def close(self) -> None:
        self._evaluator = None


def open_engine(
    folder: Path, manifest: Manifest, *, threads: int = 1, cache_dir: Path | None = None
) -> MlProgramEngine:
    """Load the package of a bundle, to be run with rounding to float16 where the program declares it.

    Neither ``threads`` nor ``cache_dir`` has an effect: threads are those of numpy's BLAS, nothing is cached.
    See :func:`bertmobile.engines.open_engine` for the rest.
    """
    evaluator = Evaluator(read_package(folder / manifest.model_file), rounding=True)
    return MlProgramEngine(NAME, evaluator, manifest)


def open_float32_engine(
    folder: Path, manifest: Manifest, *, threads: int = 1, cache_dir: Path | None = None
) -> MlProgramEngine:
    """Load the package of a bundle, to be run in float32 throughout; else as :func:`open_engine`."""
    evaluator = Evaluator(read_package(folder / manifest.model_file), rounding=False)
    return MlProgramEngine(FLOAT32_NAME, evaluator, manifest)
