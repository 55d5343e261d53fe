"""Keeps the log lines of native libraries off the terminal."""

import atexit
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# The prefixes of LiteRT's and absl's loggers, and tqdm's bars; anything else on stderr belongs to somebody
# and is kept.
_LOG_LINE = re.compile(rb"(INFO|WARNING|ERROR|VERBOSE): |[IWE]\d{4} |\xe2\x94\x94 |\r?[\w ]+:+ +\d+%\|")


def mute_native_logs_at_exit() -> None:
    """For commands: drop what native libraries write to stderr while the finished process is torn down."""

    def mute() -> None:
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    if os.environ.get("BERTMOBILE_NATIVE_LOGS") != "1":
        atexit.register(mute)


@contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Hold back what the process writes to file descriptor 2, then pass on all but native log lines.

    The libraries offer no switch for their log, and write past Python's ``sys.stderr``. With
    ``BERTMOBILE_NATIVE_LOGS=1`` in the environment everything is passed on.
    """
    if os.environ.get("BERTMOBILE_NATIVE_LOGS") == "1":
        yield
        return
    import tempfile  # not above: commands import this module before they know whether they need it

    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not _LOG_LINE.match(line):
                    os.write(2, line)
