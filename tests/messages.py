"""What every error message owes its reader: its own type, one line, and the words that a test names."""

from collections.abc import Callable
from typing import Any

import pytest

from bertmobile.errors import BertMobileError


def error_of(expected: type[BertMobileError], function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Call ``function``, which must raise exactly ``expected``; returns its one line."""
    with pytest.raises(expected) as caught:
        function(*args, **kwargs)
    assert caught.type is expected
    message = str(caught.value)
    assert "\n" not in message
    return message
