"""The formats we write. A target is a module with a ``TARGET``, and a line in the table here."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bertmobile.errors import UsageError
from bertmobile_export.plan import Plan

if TYPE_CHECKING:
    from torch import nn

Inputs = Mapping[str, NDArray[np.int64]]

_MODULES = {"tflite": "bertmobile_export.targets.tflite"}


class Target(Protocol):
    """Three verbs: check a plan, predict its bytes, write its model file."""

    name: str
    model_file: str
    input_dtype: str
    tools: tuple[str, ...]
    """Distributions whose versions the manifest records."""

    def check(self, plan: Plan) -> None:
        """Refuse what this target cannot express.

        Raises:
            UsageError: names what cannot be done and what can.
        """
        ...

    def predict_bytes(self, plan: Plan) -> int:
        """Size of the model file, from the config alone."""
        ...

    def signatures(self, plan: Plan) -> dict[int, str]:
        """The name of each bucket's signature in the model file."""
        ...

    def write(self, plan: Plan, network: "nn.Module", calibration: Iterable[Inputs], path: Path) -> None:
        """Convert and quantize.

        Args:
            plan: what to make.
            network: a float32 module in evaluation mode that takes the plan's inputs (and ``position_ids``)
                by name and returns named outputs: the network, or one that exposes more of it.
            calibration: tokenized texts in the longest bucket: the network's inputs, [1, length] each; read
                only by recipes that need it.
            path: file to write.
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
