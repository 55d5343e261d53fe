from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch

from .network_model import Parts


@pytest.fixture(scope="package", autouse=True)
def one_torch_thread() -> Iterator[None]:
    """The networks are so small that a second thread only waits for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Parts]:
    """(task, BertConfig fields) -> a tiny checkpoint, its network and its reference; made once for each."""

    @cache
    def make(task: str, **config: int) -> Parts:
        return Parts.make(tmp_path_factory.mktemp(task), task, **config)

    return make
