"""LiteRT (``.tflite``): litert-torch converts, litert-quantizer quantizes, one signature for each length."""

from bertmobile_export.targets.tflite.target import TARGET

__all__ = ["TARGET"]
