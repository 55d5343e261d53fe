from collections.abc import Callable
from functools import cache

import pytest

from .network_model import Parts


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Parts]:
    """(task, BertConfig fields) -> a tiny checkpoint, its network and its reference; made once for each."""

    @cache
    def make(task: str, **config: int) -> Parts:
        return Parts.make(tmp_path_factory.mktemp(task), task, **config)

    return make
