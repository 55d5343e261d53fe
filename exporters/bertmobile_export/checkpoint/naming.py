"""The names of the same tensor in a Hugging Face checkpoint and in our network, as a table."""

from collections.abc import Iterator

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.checkpoint.sentence_transformers import Dense, Norm

WORD_TABLE = "embeddings.word_embeddings.weight"
DECODER = "cls.predictions.decoder.weight"
# Of the network's modules behind the pooling.
STEPS = "head.steps."

# Network name to checkpoint name, in the normalised spelling of weights.py (no "bert." prefix).
EMBEDDINGS = {
    "word.weight": WORD_TABLE,
    "position.weight": "embeddings.position_embeddings.weight",
    "token_type.weight": "embeddings.token_type_embeddings.weight",
    "norm.weight": "embeddings.LayerNorm.weight",
    "norm.bias": "embeddings.LayerNorm.bias",
}
# Modules with a weight and a bias each.
LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}
_POOLER = {"pooler.weight": "pooler.dense.weight", "pooler.bias": "pooler.dense.bias"}
_CLASSIFIER = {"classifier.weight": "classifier.weight", "classifier.bias": "classifier.bias"}
HEADS = {
    "fill-mask": {
        "transform.weight": "cls.predictions.transform.dense.weight",
        "transform.bias": "cls.predictions.transform.dense.bias",
        "norm.weight": "cls.predictions.transform.LayerNorm.weight",
        "norm.bias": "cls.predictions.transform.LayerNorm.bias",
        "decoder.weight": DECODER,
        "decoder.bias": "cls.predictions.bias",
    },
    "next-sentence": {
        **_POOLER,
        "classifier.weight": "cls.seq_relationship.weight",
        "classifier.bias": "cls.seq_relationship.bias",
    },
    "text-classification": {**_POOLER, **_CLASSIFIER},
    "token-classification": _CLASSIFIER,
    "question-answering": {"span.weight": "qa_outputs.weight", "span.bias": "qa_outputs.bias"},
    "feature-extraction": {},
}

# What to check in config.json when a tensor has another shape than it implies; the first match counts.
SIZED_BY = (
    ("word_embeddings", "vocab_size and hidden_size"),
    ("cls.predictions.decoder", "vocab_size and hidden_size"),
    ("cls.predictions.bias", "vocab_size"),
    ("position_embeddings", "max_position_embeddings and hidden_size"),
    ("token_type_embeddings", "type_vocab_size and hidden_size"),
    ("intermediate.dense", "intermediate_size and hidden_size"),
    ("attention.", "hidden_size"),
    ("output.dense", "intermediate_size and hidden_size"),
    ("qa_outputs", "id2label, which must have two entries,"),
    ("", "hidden_size"),
)


def encoder_names(config: ModelConfig) -> dict[str, str]:
    """Network name to checkpoint name for the embeddings and every layer."""
    names = {f"encoder.embeddings.{ours}": theirs for ours, theirs in EMBEDDINGS.items()}
    for index in range(config.num_hidden_layers):
        for ours, theirs in LAYER.items():
            for kind in ("weight", "bias"):
                names[f"encoder.layers.{index}.{ours}.{kind}"] = f"encoder.layer.{index}.{theirs}.{kind}"
    return names


def head_names(task: str, config: ModelConfig) -> dict[str, str]:
    """Network name to checkpoint name for the head of ``task``."""
    names = {f"head.{ours}": theirs for ours, theirs in HEADS[task].items()}
    if task == "feature-extraction":
        for ours, theirs, _ in step_modules(config):
            names |= {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in ("weight", "bias")}
    return names


def step_modules(config: ModelConfig) -> Iterator[tuple[str, str, bool]]:
    """The modules with weights that sentence-transformers puts behind the pooling.

    Yields:
        The network's name, the checkpoint's (folder and name, with a slash), and whether there is a bias.
    """
    for index, step in enumerate(config.embedding.steps):
        ours = f"{STEPS}{index}"
        match step:
            case Dense():
                yield f"{ours}.linear", f"{step.folder}/linear", step.bias
                if step.projects_residual:
                    yield f"{ours}.residual", f"{step.folder}/residual", False
            case Norm():
                yield f"{ours}.norm", f"{step.folder}/norm", True
