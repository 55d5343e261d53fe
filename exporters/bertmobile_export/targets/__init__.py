"""The formats we write. A target is a module with a ``TARGET``, and a line in the table here."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bertmobile.errors import UsageError
from bertmobile_export.plan import Plan

if TYPE_CHECKING:
    from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
    from bertmobile_export.network import Network
    from bertmobile_export.network.equalisation import QuantizedActivations
    from bertmobile_export.quantization.grid import Levels
    from bertmobile_export.recipes import WeightFormat

Inputs = Mapping[str, NDArray[np.int64]]

_MODULES = {
    "tflite": "bertmobile_export.targets.tflite",
    "onnx": "bertmobile_export.targets.onnx",
    "coreml": "bertmobile_export.targets.coreml",
}


class Target(Protocol):
    """Three verbs: check a plan, predict its bytes, write its model file."""

    name: str
    input_dtype: str
    options: tuple[str, ...]
    """Options of a request that mean something here (``export.OPTIONS``)."""
    tools: tuple[str, ...]
    """Distributions whose versions the manifest records."""
    whole_blocks: bool
    """Whether the blocks of columns that share a scale must divide a row."""

    def check(self, plan: Plan) -> None:
        """Refuse what this target cannot express.

        Raises:
            UsageError: names what cannot be done and what can.
        """
        ...

    def model_file(self, plan: Plan) -> str:
        """Name of the file or package in the bundle."""
        ...

    def predict_bytes(self, plan: Plan) -> int:
        """Size of the model file, from the config alone."""
        ...

    def signatures(self, plan: Plan) -> dict[int, str]:
        """The name of each bucket's signature in the model file."""
        ...

    def quantized_activations(self, plan: Plan) -> "QuantizedActivations | None":
        """How activations are quantized here; None where they stay floating point."""
        ...

    def levels(self, plan: Plan) -> "Levels":
        """Which codes rows of 8 bits have; products of integers want those around zero."""
        ...

    def formats(self, plan: Plan, name: str, rows: int, columns: int) -> "Sequence[WeightFormat]":
        """What a budget may choose from for the matrix ``name`` [rows, columns]; the narrowest first."""
        ...

    def inspect(self, plan: Plan, path: Path) -> Mapping[str, Any]:
        """What the parity report says about a written file besides its answers, by fields of its schema."""
        ...

    def write(
        self,
        plan: Plan,
        network: "Network",
        calibration: Sequence[Inputs],
        path: Path,
        tokenizer: "TokenizerFiles",
    ) -> None:
        """Convert and quantize.

        Args:
            plan: what to make.
            network: in evaluation mode; its weights are what its codes stand for.
            calibration: tokenized texts in the longest bucket: the network's inputs, [1, length] each; read
                only by recipes that need it.
            path: file or package to write.
            tokenizer: for formats that carry it.
        """
        ...


def target_names() -> list[str]:
    return list(_MODULES)


def get_target(name: str) -> Target:
    """A target by name.

    Raises:
        UsageError: no such target.
    """
    if name not in _MODULES:
        raise UsageError(f"no target {name!r}; known: {', '.join(_MODULES)}")
    module: Any = import_module(_MODULES[name])
    target: Target = module.TARGET
    return target
