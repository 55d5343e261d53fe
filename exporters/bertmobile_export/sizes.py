"""What a model consists of, known from its config: for predictions of file sizes."""

from collections.abc import Iterator

from bertmobile_export.plan import Plan
from bertmobile_export.recipes import WeightFormat

Matrix = tuple[str, int, int]
"""Weight group, rows (output channels) and columns."""


def matrices(plan: Plan) -> Iterator[Matrix]:
    """Every weight matrix and table; a tied decoder is the word table."""
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


def vectors(plan: Plan) -> int:
    """How many values no recipe quantizes: biases and layer normalisation."""
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


def matrix_bytes(form: WeightFormat, rows: int, columns: int, scale_bytes: int) -> int:
    """Bytes of a stored matrix; ``scale_bytes`` are those of one scale and what belongs to it."""
    scales = 0 if not form.quantized else (rows if form.granularity == "channel" else 1)
    return -(-rows * columns * form.bits // 8) + scales * scale_bytes
