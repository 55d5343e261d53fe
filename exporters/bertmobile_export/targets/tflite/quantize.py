"""Our recipes in the terms of litert-quantizer, where a float32 model needs more than its codes put in.

With static activations, or with weights that are widened before they are used, it adds operators.
"""

from typing import Any

from bertmobile.errors import UsageError
from bertmobile_export.recipes import Recipe, WeightFormat
from bertmobile_export.targets.tflite.calibrate import Ranges

# Scopes are the names of output tensors, which the converter derives from the network's modules.
ENCODER_SCOPE = r"Layer_\d+"
HEAD_SCOPE = r"Head_head|serving_default"
TIED_DECODER_SCOPE = r"serving_default_logits"
_GRANULARITY = {"tensor": "TENSORWISE", "channel": "CHANNELWISE"}
# What static activations cover: the projections, which hold all weights and nearly all arithmetic. Attention
# probabilities over 256 tokens are near 1/256, the step of an 8-bit range. Normalisation, softmax and GELU
# hold no weights, so quantizing them would only lose.
STATIC_OPERATORS = ("FULLY_CONNECTED",)


def _config(form: WeightFormat, activations: str) -> tuple[str, dict[str, Any]]:
    """The quantizer's algorithm and operator configuration."""
    if not form.quantized:
        return "float_casting", {
            "weight_tensor_config": {"num_bits": form.bits, "dtype": "FLOAT"},
            "compute_precision": "FLOAT",
            "explicit_dequantize": True,
        }
    config: dict[str, Any] = {
        "weight_tensor_config": {
            "num_bits": form.bits,
            "symmetric": True,
            "granularity": _GRANULARITY[form.granularity],
            "dtype": "INT",
        },
        "compute_precision": "FLOAT" if activations == "float" else "INTEGER",
        "explicit_dequantize": activations == "float",
    }
    if activations == "static":
        config["activation_tensor_config"] = {
            "num_bits": 8,
            "symmetric": False,
            "granularity": "TENSORWISE",
            "dtype": "INT",
        }
    return "min_max_uniform_quantize", config


def quantizer_recipe(recipe: Recipe, *, tied_decoder: bool) -> list[dict[str, Any]]:
    """The rules of litert-quantizer for a recipe; later rules win.

    Args:
        recipe: what to do with each group of weights.
        tied_decoder: the vocabulary projection shares the word embedding table, which is stored once only
            if both operators ask for the same format.
    """
    rules: list[dict[str, Any]] = []

    def rule(scope: str, operator: str, form: WeightFormat, activations: str) -> None:
        if form.bits == 32 or (form.quantized and recipe.activations == "dynamic"):
            return
        algorithm, config = _config(form, activations)
        rules.append({"regex": scope, "operation": operator, "algorithm_key": algorithm, "op_config": config})

    # A lookup has no arithmetic to quantize; the rows it returns are float32.
    lookup = "float" if recipe.activations == "float" else "dynamic"
    rule(".*", "EMBEDDING_LOOKUP", recipe.weights["embeddings"], lookup)
    rule(HEAD_SCOPE, "FULLY_CONNECTED", recipe.weights["head"], recipe.activations)
    rule(ENCODER_SCOPE, "FULLY_CONNECTED", recipe.weights["encoder"], recipe.activations)
    if tied_decoder:
        rule(TIED_DECODER_SCOPE, "FULLY_CONNECTED", recipe.weights["embeddings"], recipe.activations)
    return rules


def quantize(
    content: bytes, recipe: Recipe, *, tied_decoder: bool, ranges: Ranges | None = None
) -> bytes | bytearray | memoryview:
    """Quantize a float32 model.

    Args:
        content: the model.
        recipe: what to do.
        tied_decoder: see :func:`quantizer_recipe`.
        ranges: of the tensors around :data:`STATIC_OPERATORS`, for recipes with static activations.

    Raises:
        UsageError: the quantizer cannot express the recipe.
    """
    rules = quantizer_recipe(recipe, tied_decoder=tied_decoder)
    if not rules:
        return content
    from litert_quantizer import quantizer as litert_quantizer

    try:
        quantizer = litert_quantizer.Quantizer(content, rules)
    except ValueError as failure:
        raise UsageError(f"TFLite cannot express recipe {recipe.name}: {failure}") from failure
    result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    quantized: bytes | bytearray | memoryview = result.quantized_model
    return quantized
