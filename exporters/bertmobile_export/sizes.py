"""What a model consists of, known from its config: for predictions of file sizes."""

from collections.abc import Iterator
from dataclasses import replace

from bertmobile_export.checkpoint.sentence_transformers import Dense, Norm
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import WeightFormat, with_modules

# The module whose table a tied decoder reads, too.
WORD_TABLE = "encoder.embeddings.word"
POSITION_TABLE = "encoder.embeddings.position"
# Scales of blocks and the values of palettes are float16 in every format.
HALF_BYTES = 2
Matrix = tuple[str, int, int]
"""Module name, rows (output channels) and columns."""


def matrices(plan: Plan) -> Iterator[Matrix]:
    """Every weight matrix and table; a tied decoder is the word table."""
    config = plan.config
    hidden, inner = config.hidden_size, config.intermediate_size
    yield WORD_TABLE, config.vocab_size, hidden
    yield POSITION_TABLE, config.max_position_embeddings, hidden
    yield "encoder.embeddings.token_type", config.type_vocab_size, hidden
    for index in range(config.num_hidden_layers):
        layer = f"encoder.layers.{index}"
        for part in ("query", "key", "value", "attention_output"):
            yield f"{layer}.{part}", hidden, hidden
        yield f"{layer}.intermediate", inner, hidden
        yield f"{layer}.output", hidden, inner
    match plan.task:
        case "fill-mask":
            yield "head.transform", hidden, hidden
            if not config.tie_word_embeddings:
                yield "head.decoder", config.vocab_size, hidden
        case "text-classification" | "next-sentence":
            yield "head.pooler", hidden, hidden
            yield "head.classifier", 2 if plan.task == "next-sentence" else config.num_labels, hidden
        case "token-classification":
            yield "head.classifier", config.num_labels, hidden
        case "question-answering":
            yield "head.span", 2, hidden
        case "feature-extraction":
            for index, step in enumerate(config.embedding.steps):
                if isinstance(step, Dense):
                    yield f"head.steps.{index}.linear", step.outputs, step.inputs
                    if step.projects_residual:
                        yield f"head.steps.{index}.residual", step.outputs, step.inputs


def with_whole_blocks(plan: Plan) -> Plan:
    """A plan for a target whose blocks must divide a row.

    Where those of a group do not, as blocks of 32 in rows of 312 columns, the matrix gets a scale for each
    row. A format that the recipe names for one matrix stays, and is the target's to refuse.
    """
    recipe = plan.recipe
    rows: dict[str, WeightFormat] = {}
    widths = set()
    for name, _, columns in matrices(plan):
        form = recipe.form(name)
        if name not in recipe.modules and form.granularity == "block" and columns % (form.block_size or 1):
            rows[name] = WeightFormat(form.bits)
            widths.add(columns)
    if not rows:
        return plan
    note = (
        f"the blocks of recipe {recipe.name} do not divide rows of {', '.join(map(str, sorted(widths)))} "
        f"columns, as {plan.target} needs it: {len(rows)} matrices get a scale for each row instead"
    )
    return replace(plan, recipe=with_modules(recipe, {**recipe.modules, **rows}), notes=(*plan.notes, note))


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
        case "feature-extraction":
            for step in config.embedding.steps:
                match step:
                    case Dense():
                        values += step.outputs * (2 if step.projects_residual else 1)
                    case Norm():
                        values += 2 * step.size
    return values


def input_scales(plan: Plan) -> int:
    """How many values the inputs of linear layers are divided by where all are equalised."""
    config = plan.config
    return config.num_hidden_layers * (2 * config.hidden_size + config.intermediate_size)


def parameter_bytes(plan: Plan) -> int:
    """Bytes of all parameters in float32, a tied table counted once."""
    return 4 * (sum(rows * columns for _, rows, columns in matrices(plan)) + vectors(plan))


def matrix_bytes(form: WeightFormat, rows: int, columns: int, scale_bytes: int) -> int:
    """Bytes of a stored matrix; ``scale_bytes`` are those of a row's scale and what belongs to it."""
    codes = -(-rows * columns * form.bits // 8)
    match form.granularity if form.quantized else None:
        case "channel":
            return codes + rows * scale_bytes
        case "tensor":
            return codes + scale_bytes
        case "block":
            return codes + rows * -(-columns // (form.block_size or columns)) * HALF_BYTES
        case "scaled-block":
            blocks = rows * -(-columns // (form.block_size or columns))
            return codes + -(-blocks // 2) + rows * scale_bytes
        case "scaled-palette":
            return codes + (rows + (1 << form.bits)) * HALF_BYTES
        case "palette":
            return codes + (rows // (form.block_size or rows) << form.bits) * HALF_BYTES
    return codes
