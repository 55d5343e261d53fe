"""Every error a user can meet, and the exit code of the command that meets it.

BertMobileError            1  failed
├── BundleError            1  a bundle is damaged, unverified or unreadable
├── CheckpointError        1  a source model cannot be used
├── UsageError             2  an argument or an input is wrong
├── ParityError            3  the exported model differs from its reference
├── MissingDependencyError 4  an optional package is not installed
└── MissingToolError       4  a program of the system is not installed
"""


class BertMobileError(Exception):
    """Base of all errors raised on purpose: one line naming the cause and the remedy."""

    exit_code = 1


class BundleError(BertMobileError):
    """A bundle is damaged, unverified or unreadable."""


class CheckpointError(BertMobileError):
    """A source model cannot be used."""


class UsageError(BertMobileError):
    """An argument or an input is wrong."""

    exit_code = 2


class ParityError(BertMobileError):
    """The exported model differs from its reference by more than its recipe allows."""

    exit_code = 3


class MissingDependencyError(BertMobileError):
    """An optional package is not installed."""

    exit_code = 4

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; add it with: pip install 'bertmobile[{extra}]'")


class MissingToolError(BertMobileError):
    """A program of the system, which pip cannot add, is not installed."""

    exit_code = 4

    def __init__(self, program: str, remedy: str) -> None:
        super().__init__(f"{program} is not installed; {remedy}")
