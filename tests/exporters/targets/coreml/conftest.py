from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import make_checkpoint

from .packages import Package, write_package


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """(task, BertConfig fields) -> folder of a tiny checkpoint; made once for each."""
    made: dict[str, Path] = {}

    def make(task: str, **config: Any) -> Path:
        key = f"{task} {sorted(config.items())}"
        if key not in made:
            made[key] = make_checkpoint(tmp_path_factory.mktemp(task), task, **config)
        return made[key]

    return make


@pytest.fixture
def package(checkpoint: Callable[..., Path], tmp_path: Path) -> Callable[..., Package]:
    """(task, recipe, ios, ...) -> a package of a tiny checkpoint; ``config`` are its BertConfig fields."""
    count = 0

    def write(task: str, recipe: Any, *arguments: Any, config: Any = None, **plan: Any) -> Package:
        nonlocal count
        count += 1
        path = tmp_path / str(count) / "model.mlpackage"
        path.parent.mkdir()
        return write_package(checkpoint(task, **(config or {})), path, task, recipe, *arguments, **plan)

    return write
