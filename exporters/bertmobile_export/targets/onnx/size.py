"""Predicts the bytes of a model file from the sizes in the config."""

from dataclasses import replace

from bertmobile.errors import UsageError
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import WeightFormat, weight_group
from bertmobile_export.sizes import (
    POSITION_TABLE,
    WORD_TABLE,
    input_scales,
    matrices,
    matrix_bytes,
    vectors,
)

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
# Of a matrix that is widened when the model is loaded.
NARROW_BYTES = 1_500
# What ONNX has a type for, below 8 bits.
NIBBLE = 4
# So many times as much in ONNX Runtime's own format.
ORT_FACTOR = 2.5
# Scales are float32; codes are symmetric around zero.
SCALE_BYTES = 4


def predict_bytes(plan: Plan) -> int:
    """Size of the model file in bytes; within 3 % for models of a megabyte and more."""
    config, recipe = plan.config, plan.recipe

    weights = sum(stored_bytes(recipe.form(name), *shape) for name, *shape in matrices(plan))
    if plan.portable:  # only the positions that there are
        unused = config.max_position_embeddings - plan.lengths[0]
        weights -= stored_bytes(recipe.form(POSITION_TABLE), unused, config.hidden_size)
    half = plan.portable and all(form.bits == 16 for form in recipe.forms.values())
    nodes = MODEL_BYTES + config.num_hidden_layers * LAYER_BYTES[plan.portable, recipe.activations]
    nodes += NARROW_BYTES * sum(is_narrow(recipe.form(name)) for name, _, _ in matrices(plan))
    return (
        weights
        + (2 if half else 4) * vectors(plan)
        + _activation_bytes(plan)
        + round(nodes * (ORT_FACTOR if plan.ort else 1))
    )


def stored_bytes(form: WeightFormat, rows: int, columns: int) -> int:
    """Bytes of a matrix in the file."""
    if form.granularity == "tensor":  # the file has a scale for each row all the same
        form = replace(form, granularity="channel")
    return matrix_bytes(form, rows, stored_columns(form, columns), SCALE_BYTES)


def stored_columns(form: WeightFormat, columns: int) -> int:
    """Columns of a row of codes in the file: whole blocks, and whole bytes of each part of a code."""
    unit = form.block_size or (8 if NIBBLE < form.bits < 8 else 1)
    return -(-columns // unit) * unit if form.quantized else columns


def is_narrow(form: WeightFormat) -> bool:
    """Whether codes of fewer than 8 bits are widened when a model is loaded."""
    return form.bits < 8 and form.granularity != "block"


def blocks_only(plan: Plan) -> bool:
    """Whether all matrices of the encoder have blocks; what they read is then quantized by blocks, too."""
    forms = [plan.recipe.form(name) for name, _, _ in matrices(plan) if weight_group(name) == "encoder"]
    return all(form.granularity == "block" for form in forms)


def _activation_bytes(plan: Plan) -> int:
    """What quantized activations add: scales of equalised channels, and how biases are quantized."""
    config, layers = plan.config, plan.config.num_hidden_layers
    if plan.recipe.activations == "float" or blocks_only(plan):
        return 0
    if plan.recipe.activations == "dynamic":
        return 4 * input_scales(plan)
    undone = 2 * config.hidden_size * layers
    # For each output a scale and a zero point of the bias, and a zero point of the weights.
    outputs = sum(
        rows
        for name, rows, _ in matrices(plan)
        if weight_group(name) != "embeddings" and plan.recipe.form(name).quantized
    )
    if plan.tied_decoder and plan.recipe.form(WORD_TABLE).quantized:
        outputs += config.vocab_size
    per_output = 1 if plan.ort else 9  # fused into kernels, a bias is just codes
    return 4 * (input_scales(plan) + undone) + per_output * outputs


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
