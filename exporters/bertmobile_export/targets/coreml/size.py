"""Predicts the bytes of a package from the sizes in the config."""

from bertmobile_export.plan import Plan
from bertmobile_export.sizes import POSITION_TABLE, matrices, matrix_bytes, vectors

# Operators with their names and types, and what aligns their weights, measured on written packages.
MODEL_BYTES = 10_000
LAYER_BYTES = 12_500
STATIC_LAYER_BYTES = 6_500
ZERO_POINT_BYTES = 1
# A line of BERT's own vocabulary, which the metadata carry.
VOCABULARY_BYTES = 8


def predict_bytes(plan: Plan) -> int:
    """Size of all files of the package in bytes; within 3 % for models of a megabyte and more."""
    config, recipe = plan.config, plan.recipe
    # The widest weights decide the type of everything that is not quantized.
    value_bytes = 4 if any(form.bits == 32 for form in recipe.forms.values()) else 2
    scale_bytes = value_bytes + ZERO_POINT_BYTES
    weights = sum(
        matrix_bytes(recipe.form(name), rows, columns, scale_bytes) for name, rows, columns in matrices(plan)
    )
    # Positions that no length reaches are left out.
    form, unread = recipe.form(POSITION_TABLE), config.max_position_embeddings - max(plan.lengths)
    if unread:
        weights -= matrix_bytes(form, unread, config.hidden_size, scale_bytes)
    layer = LAYER_BYTES + (STATIC_LAYER_BYTES if recipe.needs_ranges else 0)
    structure = MODEL_BYTES + config.num_hidden_layers * layer + config.vocab_size * VOCABULARY_BYTES
    return weights + value_bytes * vectors(plan) + structure
