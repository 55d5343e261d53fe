"""ONNX, for ONNX Runtime on phones and for other engines."""

from bertmobile_export.targets.onnx.target import TARGET

__all__ = ["TARGET"]
