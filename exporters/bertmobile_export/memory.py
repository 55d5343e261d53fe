"""Memory that is no longer needed."""

import contextlib
import ctypes
import gc


def release_memory() -> None:
    """Give back what a step used before the next one takes as much: glibc keeps freed memory unless asked."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such call
        ctypes.CDLL(None).malloc_trim(0)
