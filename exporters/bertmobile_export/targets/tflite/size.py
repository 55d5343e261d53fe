"""Predicts the bytes of a model file from the sizes in the config."""

from bertmobile_export.plan import Plan
from bertmobile_export.sizes import POSITION_TABLE, input_scales, matrices, matrix_bytes, vectors

# Structure of one signature, measured on written files: operators, tensors and their names.
SIGNATURE_BYTES = 6_000
LAYER_BYTES = 9_500
# A scale is a float32 and its zero point an int64; signatures share them.
SCALE_BYTES = 12
# A line of BERT's own vocabulary, which MediaPipe reads from the model file.
VOCABULARY_BYTES = 8


def predict_bytes(plan: Plan) -> int:
    """Size of the model file in bytes; within 3 % for models of a megabyte and more."""
    weights = sum(
        matrix_bytes(plan.recipe.form(name), rows, columns, SCALE_BYTES)
        for name, rows, columns in matrices(plan)
    )
    # Positions that no length reaches are left out.
    form, unread = plan.recipe.form(POSITION_TABLE), plan.config.max_position_embeddings - max(plan.lengths)
    if unread and not (form.quantized and form.granularity == "tensor"):
        weights -= matrix_bytes(form, unread, plan.config.hidden_size, SCALE_BYTES)
    structure = len(plan.lengths) * (SIGNATURE_BYTES + plan.config.num_hidden_layers * LAYER_BYTES)
    packed = plan.config.vocab_size * VOCABULARY_BYTES if plan.mediapipe else 0
    scales = 4 * input_scales(plan) if plan.recipe.activations != "float" else 0
    return weights + 4 * vectors(plan) + scales + structure + packed
