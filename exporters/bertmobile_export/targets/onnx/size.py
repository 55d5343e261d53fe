"""Predicts the bytes of a model file from the sizes in the config."""

from dataclasses import replace

from bertmobile.errors import UsageError
from bertmobile_export.plan import Plan
from bertmobile_export.sizes import matrices, matrix_bytes, vectors

# What protobuf can hold (https://protobuf.dev/programming-guides/proto-limits).
LARGEST_FILE = 2**31 - 1
# Nodes and names, measured on written files: of a layer by form and activations, and of the rest.
LAYER_BYTES = {
    (False, "float"): 4_700,
    (False, "dynamic"): 7_600,
    (False, "static"): 11_100,
    (True, "float"): 4_800,
    (True, "static"): 14_500,
}
MODEL_BYTES = 5_000
# So many times as much in ONNX Runtime's own format.
ORT_FACTOR = 2.5
# Scales are float32; codes are symmetric around zero.
SCALE_BYTES = 4


def predict_bytes(plan: Plan) -> int:
    """Size of the model file in bytes; within 3 % for models of a megabyte and more."""
    config, recipe = plan.config, plan.recipe
    # The file has a scale for each row whatever the granularity.
    forms = {group: replace(form, granularity="channel") for group, form in recipe.weights.items()}
    stored = list(matrices(plan))
    weights = sum(matrix_bytes(forms[group], rows, columns, SCALE_BYTES) for group, rows, columns in stored)
    if plan.portable:  # only the positions that there are
        unused = config.max_position_embeddings - plan.lengths[0]
        weights -= matrix_bytes(forms["embeddings"], unused, config.hidden_size, SCALE_BYTES)
    half = plan.portable and all(form.bits == 16 for form in forms.values())
    nodes = MODEL_BYTES + config.num_hidden_layers * LAYER_BYTES[plan.portable, recipe.activations]
    return (
        weights
        + (2 if half else 4) * vectors(plan)
        + _activation_bytes(plan)
        + round(nodes * (ORT_FACTOR if plan.ort else 1))
    )


def _activation_bytes(plan: Plan) -> int:
    """What quantized activations add: scales of equalised channels, and how biases are quantized."""
    config, layers = plan.config, plan.config.num_hidden_layers
    if plan.recipe.activations == "float":
        return 0
    divided = 2 * config.hidden_size + config.intermediate_size
    if plan.recipe.activations == "dynamic":
        return 4 * layers * divided
    undone = 2 * config.hidden_size
    # For each output a scale and a zero point of the bias, and a zero point of the weights.
    outputs = sum(
        rows
        for group, rows, _ in matrices(plan)
        if group != "embeddings" and plan.recipe.weights[group].quantized
    )
    if plan.tied_decoder and plan.recipe.weights["embeddings"].quantized:
        outputs += config.vocab_size
    per_output = 1 if plan.ort else 9  # fused into kernels, a bias is just codes
    return 4 * layers * (divided + undone) + per_output * outputs


def check_size(size: int) -> None:
    """Refuse a file that no ONNX tool could read.

    Raises:
        UsageError: more bytes than one file can hold.
    """
    if size > LARGEST_FILE:
        raise UsageError(
            f"the model would take {size / 1e9:.1f} GB, and one ONNX file holds 2.1 GB; "
            "give a smaller recipe, such as --fp16 or --int8"
        )
