"""The tensors of a checkpoint, whatever file format, precision and spelling they were saved in."""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.files import SAFETENSORS_INDEX, SHARDS, choose_weights, read_json

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_LFS_POINTER = b"version https://git-lfs"
_AGAIN = "download or copy the file again"


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read all weights and biases of a checkpoint.

    float32 tensors stay where they are, memory-mapped from the file; other precisions are cast. Names lose an
    optional ``bert.`` prefix, ``LayerNorm.gamma`` and ``beta`` become ``weight`` and ``bias``, and the
    vocabulary bias is ``cls.predictions.bias`` whichever of its two names it was saved under.

    Returns:
        float32 tensors by normalised checkpoint name, in the shapes of the file.

    Raises:
        CheckpointError: no weights in a format that can be read, a missing, damaged or unsafe file, quantized
            weights, or a tensor with NaN or infinite values.
    """
    chosen = choose_weights((path.name for path in folder.iterdir()), str(folder))
    files = _shards(folder / chosen) if chosen in SHARDS else [folder / chosen]
    state: dict[str, Tensor] = {}
    vocabulary_bias = None
    for path in files:
        tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
        for original, stored in tensors:
            name = _normalise(original)
            # The rest are buffers of indices, or bookkeeping of a training.
            if not name.endswith((".weight", ".bias")):
                continue
            tensor = _as_float32(original, stored, path)
            if name == "cls.predictions.decoder.bias":
                vocabulary_bias = tensor
            else:
                state[name] = tensor
    # transformers adds the decoder's own bias to the scores; the other name is its alias in tied checkpoints.
    if vocabulary_bias is not None:
        state["cls.predictions.bias"] = vocabulary_bias
    return state


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash names, shapes and values, so that the same weights hash alike from any file format.

    Args:
        state: float32 tensors by name; a tensor present under two names counts under the first.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    seen: set[int] = set()
    for name in sorted(state):
        tensor = state[name]
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        digest.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.detach().contiguous().numpy().data)
    return digest.hexdigest()


def looks_trained(state: Mapping[str, Tensor]) -> bool:
    """Whether any training step can be seen in the weights.

    BERT's initialisation leaves every normalisation at weight 1 and every bias at 0, and the first update
    moves them all.

    Args:
        state: float32 tensors by name, of the network or of the checkpoint.
    """
    for name, tensor in state.items():
        if name.endswith(".bias"):
            untouched = 0.0
        elif name.endswith(("norm.weight", "LayerNorm.weight")):
            untouched = 1.0
        else:
            continue
        if not bool((tensor == untouched).all()):
            return True
    return False


def _shards(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index} has no weight_map; {_AGAIN}")
    paths = []
    for name in sorted(set(weight_map.values())):
        # An index is as untrusted as the weights: its shards lie beside it or nowhere.
        if Path(name).name != name:
            raise CheckpointError(f"{index} names {name!r}, which is not beside it; {_AGAIN}")
        path = index.with_name(name)
        if not path.is_file():
            raise CheckpointError(
                f"{path} is missing, a shard that {index.name} lists; download or copy it too"
            )
        if (path.suffix == ".safetensors") != (index.name == SAFETENSORS_INDEX):
            raise CheckpointError(f"{index} lists {name}, a file of another format; {_AGAIN}")
        paths.append(path)
    return paths


def _reject_lfs_pointer(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except OSError as failure:
        raise CheckpointError(f"{path} cannot be read ({failure.strerror}); make it readable") from failure
    if start == _LFS_POINTER:
        raise CheckpointError(f"{path} is a Git LFS pointer, not the weights; run: git lfs pull")


def _read_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    _reject_lfs_pointer(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                yield name, file.get_tensor(name)
    except (SafetensorError, OSError, ValueError, RuntimeError) as failure:
        raise _damaged(path, str(failure)) from failure


def _read_pickle(path: Path) -> Iterator[tuple[str, Tensor]]:
    _reject_lfs_pointer(path)
    try:
        # Only the zip format of torch 1.6 and later can be mapped.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as failure:  # the instructions of a damaged pickle can raise anything
        # torch wraps its reason in advice to load without the safeguard.
        reason = str(failure).rpartition("WeightsUnpickler error:")[2].strip()
        if "GLOBAL" in reason:
            raise CheckpointError(
                f"{path} runs code when it is loaded, which is refused; save the weights as safetensors "
                "(save_pretrained) where you trust the file"
            ) from failure
        raise _damaged(path, reason or type(failure).__name__) from failure
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(
            f"{path} is not a dictionary of tensors; save the model with save_pretrained, export that folder"
        )
    yield from state.items()


def _damaged(path: Path, reason: str) -> CheckpointError:
    first, *_ = reason.splitlines() or ["no reason given"]
    return CheckpointError(f"{path} is truncated or corrupt ({first}); {_AGAIN}")


def _normalise(name: str) -> str:
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _as_float32(name: str, tensor: Tensor, path: Path) -> Tensor:
    if tensor.dtype not in _FLOATS:
        raise CheckpointError(
            f"{path}: {name} is {tensor.dtype}, a quantized or damaged checkpoint; start from its "
            "floating-point original"
        )
    tensor = tensor.to(torch.float32)
    # The extremes carry any NaN or infinity, without a second tensor of the same size.
    if tensor.numel() and not all(bool(extreme.isfinite()) for extreme in torch.aminmax(tensor)):
        raise CheckpointError(
            f"{path}: {name} has NaN or infinite values; the training diverged or the file is damaged, "
            "so use an earlier checkpoint"
        )
    return tensor
