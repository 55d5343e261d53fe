from collections.abc import Iterator

import pytest

from bertmobile_export.threads import one_thread_each


@pytest.fixture(scope="package", autouse=True)
def one_torch_thread() -> Iterator[None]:
    """The networks are so small that a second thread only waits for the first."""
    with one_thread_each():
        yield
