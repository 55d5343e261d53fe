"""The files of a checkpoint: which ones hold the weights, and how to read the JSON ones.

Free of torch, so that a dry run and the hub client can use it.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bertmobile.errors import CheckpointError

SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"

# A single file before shards, safetensors before pickles: transformers looks in the same order.
WEIGHT_FILES = (SAFETENSORS, SAFETENSORS_INDEX, PICKLE, PICKLE_INDEX)
SHARDS = {SAFETENSORS_INDEX: "model-*.safetensors", PICKLE_INDEX: "pytorch_model-*.bin"}

# How their files end, and the from_pretrained flag that reads them.
_OTHER_FRAMEWORKS = {
    "TensorFlow": ((".h5", ".ckpt", ".ckpt.index", ".ckpt.meta"), "from_tf"),
    "Flax": ((".msgpack",), "from_flax"),
}


def choose_weights(names: Iterable[str], source: str) -> str:
    """Name the file of ``WEIGHT_FILES`` to read.

    Args:
        names: the files at the top of the folder or repository.
        source: what to call it in the error.

    Raises:
        CheckpointError: none of them is there; the message says what is there instead and how to convert it.
    """
    present = set(names)
    for name in WEIGHT_FILES:
        if name in present:
            return name
    for framework, (endings, flag) in _OTHER_FRAMEWORKS.items():
        found = sorted(name for name in present if name.endswith(endings))
        if found:
            raise CheckpointError(
                f"{source} holds only {framework} weights ({found[0]}); convert them to PyTorch with "
                f"transformers 4 (from_pretrained(..., {flag}=True), then save_pretrained), export the result"
            )
    raise CheckpointError(
        f"{source} has no weights: neither {SAFETENSORS} nor {PICKLE}; save them with save_pretrained"
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file is missing, unreadable, or not a JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as failure:
        raise CheckpointError(
            f"{path} is missing; give the folder that save_pretrained wrote, or a hub id"
        ) from failure
    except (OSError, ValueError) as failure:
        raise CheckpointError(
            f"{path} is not valid JSON ({failure}); restore it from its source"
        ) from failure
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is not a JSON object; restore it from its source")
    return document
