"""Run BERT bundles: text in, answer out.

    import bertmobile

    with bertmobile.load("bert-mobile-fill-mask-int8.tflite") as model:
        model("Paris is the [MASK] of France.")

What is listed in ``__all__`` is the public interface. ``load``, ``Model`` and ``TruncationWarning`` are
imported on first use, so that ``import bertmobile`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bertmobile.errors import (
    BertMobileError,
    BundleError,
    CheckpointError,
    MissingDependencyError,
    MissingToolError,
    ParityError,
    UsageError,
)

if TYPE_CHECKING:
    from bertmobile.model import Model, load
    from bertmobile.tokenization import TruncationWarning

    __version__: str

__all__ = [
    "BertMobileError",
    "BundleError",
    "CheckpointError",
    "MissingDependencyError",
    "MissingToolError",
    "Model",
    "ParityError",
    "TruncationWarning",
    "UsageError",
    "__version__",
    "load",
]

_LAZY = {
    "Model": "bertmobile.model",
    "TruncationWarning": "bertmobile.tokenization",
    "load": "bertmobile.model",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bertmobile")
    except PackageNotFoundError:  # run from the source tree
        return "0.1.0"
