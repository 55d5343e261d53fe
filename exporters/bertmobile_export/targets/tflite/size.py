"""Predicts the bytes of a model file from the sizes in the config."""

from collections.abc import Iterator

from bertmobile_export.plan import Plan
from bertmobile_export.recipes import WeightFormat

# Structure of one signature, measured on written files: operators, tensors and their names.
SIGNATURE_BYTES = 6_000
LAYER_BYTES = 9_500
# A scale is a float32 and its zero point an int64; signatures share them.
SCALE_BYTES = 12
Matrix = tuple[str, int, int]
"""Weight group, rows (output channels) and columns."""


def _matrices(plan: Plan) -> Iterator[Matrix]:
    config = plan.config
    hidden, inner = config.hidden_size, config.intermediate_size
    yield "embeddings", config.vocab_size, hidden
    yield "embeddings", config.max_position_embeddings, hidden
    yield "embeddings", config.type_vocab_size, hidden
    for _ in range(config.num_hidden_layers):
        yield from (("encoder", hidden, hidden),) * 4
        yield "encoder", inner, hidden
        yield "encoder", hidden, inner
    match plan.task:
        case "fill-mask":
            yield "head", hidden, hidden
            if not config.tie_word_embeddings:
                yield "head", config.vocab_size, hidden
        case "text-classification" | "next-sentence":
            yield "head", hidden, hidden
            yield "head", 2 if plan.task == "next-sentence" else config.num_labels, hidden
        case "token-classification":
            yield "head", config.num_labels, hidden
        case "question-answering":
            yield "head", 2, hidden


def _vectors(plan: Plan) -> int:
    """Values that every recipe keeps in float32: biases and layer normalisation."""
    config = plan.config
    hidden, inner = config.hidden_size, config.intermediate_size
    values = 2 * hidden + config.num_hidden_layers * (4 * hidden + inner + hidden + 4 * hidden)
    match plan.task:
        case "fill-mask":
            values += 3 * hidden + config.vocab_size
        case "text-classification" | "next-sentence":
            values += hidden + (2 if plan.task == "next-sentence" else config.num_labels)
        case "token-classification":
            values += config.num_labels
        case "question-answering":
            values += 2
    return values


def _matrix_bytes(form: WeightFormat, rows: int, columns: int) -> int:
    scales = 0 if not form.quantized else (rows if form.granularity == "channel" else 1)
    return -(-rows * columns * form.bits // 8) + scales * SCALE_BYTES


def predict_bytes(plan: Plan) -> int:
    """Size of the model file in bytes; within 3 % for models of a megabyte and more."""
    weights = sum(
        _matrix_bytes(plan.recipe.weights[group], rows, columns) for group, rows, columns in _matrices(plan)
    )
    structure = len(plan.lengths) * (SIGNATURE_BYTES + plan.config.num_hidden_layers * LAYER_BYTES)
    return weights + 4 * _vectors(plan) + structure
