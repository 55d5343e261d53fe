"""What a long rounding has finished, kept in a folder: one that was stopped goes on there."""

import contextlib
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import bertmobile_export
from bertmobile_export.network import Network
from bertmobile_export.quantization.matrix import QuantizedMatrix
from bertmobile_export.recipes import WeightFormat


class Kept:
    """Named results, each a set of tensors.

    Args:
        folder: may not exist yet; None to keep nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def within(
        cls,
        folder: Path | None,
        network: Network,
        samples: Sequence[Mapping[str, NDArray[np.int64]]],
        words: Sequence[int],
    ) -> "Kept":
        """A place in ``folder`` for what follows from these, with the exporter and PyTorch as they are.

        Args:
            folder: None to keep nothing.
            network: its weights, and what it does with them.
            samples: its inputs, [1, length] int64 each.
            words: ids of the vocabulary's words.
        """
        if folder is None:
            return cls(None)
        digest = hashlib.sha256(repr((torch.__version__, network.config, network.task, [*words])).encode())
        for path in sorted(Path(bertmobile_export.__file__).parent.rglob("*.py")):
            digest.update(path.read_bytes())
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().data)
        for sample in samples:
            for name, array in sorted(sample.items()):
                digest.update(f"{name} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return cls(folder / digest.hexdigest()[:16])

    def under(self, *others: object) -> "Kept":
        """A place for what follows from ``others`` as well."""
        digest = hashlib.sha256(repr(others).encode())
        return Kept(self._folder and self._folder / digest.hexdigest()[:16])

    def load(self, name: str) -> dict[str, Tensor] | None:
        """The tensors kept by a name; None where there are none, or none that can be read."""
        if self._folder is None:
            return None
        try:
            tensors: dict[str, Tensor] = load_file(self._path(name))
        except (OSError, SafetensorError):
            return None
        return tensors

    def save(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors by a name, whole or not at all; what cannot be kept is only made again."""
        if self._folder is None:
            return
        path = self._path(name)
        part = path.with_name(f"{name}.{uuid.uuid4().hex[:8]}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, part)
            part.replace(path)
        except (OSError, SafetensorError):
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{name}.safetensors"


def to_tensors(matrix: QuantizedMatrix) -> dict[str, Tensor]:
    """The arrays of a matrix, by the names of its attributes."""
    arrays = {field.name: getattr(matrix, field.name) for field in fields(matrix) if field.name != "form"}
    return {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}


def from_tensors(form: WeightFormat, tensors: Mapping[str, Tensor]) -> QuantizedMatrix:
    """The matrix whose arrays these are."""
    return QuantizedMatrix(form, **{name: tensor.numpy() for name, tensor in tensors.items()})
