"""Core ML: ML Program packages (``.mlpackage``), written operator by operator with the builder of MIL."""

from bertmobile_export.targets.coreml.target import TARGET

__all__ = ["TARGET"]
