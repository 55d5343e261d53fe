"""The one quantizer: chooses codes from float32 weights; targets only pack them."""

from bertmobile_export.quantization.matrix import QuantizedMatrix
from bertmobile_export.quantization.weights import quantize_weights

__all__ = ["QuantizedMatrix", "quantize_weights"]
