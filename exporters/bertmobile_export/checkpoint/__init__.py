"""Everything about the source model, read from its own files."""

from typing import TYPE_CHECKING, Any

from bertmobile_export.checkpoint.config import ModelConfig, read_config, resolve_task
from bertmobile_export.checkpoint.source import Location, locate

if TYPE_CHECKING:
    from bertmobile_export.checkpoint.load import Checkpoint, load_checkpoint

__all__ = [
    "Checkpoint",
    "Location",
    "ModelConfig",
    "load_checkpoint",
    "locate",
    "read_config",
    "resolve_task",
]


def __getattr__(name: str) -> Any:
    # These two need torch, which a dry run and the command's --help do not wait for.
    if name in ("Checkpoint", "load_checkpoint"):
        from bertmobile_export.checkpoint import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
