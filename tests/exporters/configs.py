"""Model configs without a checkpoint, for tests of what is known before a weight is read."""

from typing import Any

from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import read_recipe


def make_config(**overrides: Any) -> ModelConfig:
    """A small BERT with positions for every default bucket."""
    fields: dict[str, Any] = {
        "vocab_size": 500,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "hidden_act": "gelu",
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
        "num_labels": 2,
        "labels": ("LABEL_0", "LABEL_1"),
        "problem_type": None,
        "recorded_activation": None,
        "architecture": None,
    }
    return ModelConfig(**{**fields, **overrides})


def make_plan(task: str, recipe: str = "float32", **overrides: Any) -> Plan:
    """A plan for the TFLite target; ``overrides`` are fields of the plan."""
    fields: dict[str, Any] = {
        "model": "tiny",
        "config": make_config(),
        "task": task,
        "recipe": read_recipe(recipe),
        "target": "tflite",
        "lengths": (32, 64, 128, 256),
    }
    return Plan(**{**fields, **overrides})
