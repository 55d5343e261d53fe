from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

import pytest

from bertmobile_export.checkpoint import Checkpoint, load_checkpoint
from tests.checkpoints import make_checkpoint

from .models import Written, write_model


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Checkpoint]:
    """(task, BertConfig fields) -> a tiny checkpoint; made once for each."""

    @cache
    def make(task: str, **config: Any) -> Checkpoint:
        if task in ("text-classification", "token-classification"):
            config.setdefault("num_labels", 3)
        folder = make_checkpoint(tmp_path_factory.mktemp(task), task, **config)
        return load_checkpoint(str(folder), task=task)

    return make


@pytest.fixture(scope="session")
def written(
    checkpoint: Callable[..., Checkpoint], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Written]:
    """(task, what write_model takes, bert: BertConfig fields) -> a written file."""
    folder, numbers = tmp_path_factory.mktemp("onnx"), count()

    def make(
        task: str, recipe: Any = "float32", *, bert: dict[str, Any] | None = None, **more: Any
    ) -> Written:
        suffix = "ort" if more.get("ort") else "onnx"
        path = folder / str(next(numbers)) / f"model.{suffix}"
        path.parent.mkdir()
        return write_model(checkpoint(task, **(bert or {})), path, recipe, **more)

    return make
