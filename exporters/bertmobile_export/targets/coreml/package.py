"""A MIL program as a package: a folder that is the same for the same program."""

import hashlib
import json
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Program

from bertmobile.bundle import sha256_file
from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
from bertmobile_export.plan import Plan
from bertmobile_export.targets.coreml.program import OPSETS

AUTHOR = "com.apple.CoreML"
MODEL = f"{AUTHOR}/model.mlmodel"
WEIGHTS = f"{AUTHOR}/weights"
# Of what coremltools notes about itself, what would make two exports differ.
DATE = "com.github.apple.coremltools.conversion_date"
METADATA = "com.bertmobile."

FEATURES = {
    "input_ids": "Token ids; [PAD] behind the text",
    "attention_mask": "1 for a token of the text, 0 for padding",
    "token_type_ids": "0 for tokens of the first text and for padding, 1 for those of the second",
    "pooling_mask": "1 for a token that the text's vector is made of, 0 for padding and the prompt's",
    "mask_positions": "Where the masked tokens are; 0 in slots that are not used",
    "start_logits": "How likely the answer begins at each token; no softmax",
    "end_logits": "How likely the answer ends at each token; no softmax",
    "last_hidden_state": "The state of each token",
    "sentence_embedding": "The vector of the text",
}
LOGITS = {
    "fill-mask": "A score for each entry of the vocabulary, for each position asked for; no softmax",
    "next-sentence": "Scores that the second text follows the first, and that it does not; no softmax",
    "text-classification": "A score for each label; no softmax",
    "token-classification": "A score for each label, for each token; no softmax",
}


def write(program: Program, plan: Plan, ios: int, tokenizer: TokenizerFiles, path: Path) -> None:
    """Write a package.

    Args:
        program: as :func:`~bertmobile_export.targets.coreml.program.build` makes it; used up.
        plan: what it is.
        ios: oldest system that must run it.
        tokenizer: for the metadata.
        path: folder to make, named ``*.mlpackage``.
    """
    # Without passes: the program is written as it shall be. The default ones would fold and merge constants,
    # guard indices that are never negative, and choose other precisions.
    model = ct.convert(
        program,
        inputs=_input_types(plan),
        convert_to="mlprogram",
        minimum_deployment_target=OPSETS[ios],
        compute_precision=ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
        package_dir=str(path),
    )
    specification = model.get_spec()
    _describe(specification, plan, tokenizer)
    _remove_date(specification)
    (path / "Data" / MODEL).write_bytes(specification.SerializeToString(deterministic=True))
    _write_manifest(path)


def _input_types(plan: Plan) -> list[ct.TensorType]:
    """Inputs of one shape, or of one for each length."""

    def shape(sizes: tuple[int | str, ...], length: int) -> list[int]:
        return [length if size == "length" else int(size) for size in sizes]

    inputs = []
    for spec in plan.inputs("int32"):
        shapes = [shape(spec.shape, length) for length in plan.lengths]
        several = len(shapes) > 1 and "length" in spec.shape
        # Every input takes the shapes in the same order. The default is the longest, which holds any text.
        form = ct.EnumeratedShapes(shapes, default=shapes[-1]) if several else shapes[-1]
        inputs.append(ct.TensorType(name=spec.name, shape=form, dtype=np.int32))
    return inputs


def _describe(specification: Any, plan: Plan, tokenizer: TokenizerFiles) -> None:
    """Say what the model is, for people and for apps that have nothing but the package."""
    description = specification.description
    for feature in [*description.input, *description.output]:
        feature.shortDescription = FEATURES.get(feature.name) or LOGITS.get(plan.task, "")
    metadata = description.metadata
    metadata.shortDescription = f"BERT for {plan.task} from {plan.model}, recipe {plan.recipe.name}"
    rules = tokenizer.spec
    entries: dict[str, Any] = {
        "task": plan.task,
        "recipe": plan.recipe.name,
        "lengths": list(plan.lengths),
        "lower_case": rules.lower_case,
        "strip_accents": rules.strip_accents,
        "tokenize_chinese_chars": rules.tokenize_chinese_chars,
        "longest_word": rules.longest_word,
        "special_tokens": {role: token.id for role, token in rules.special_tokens.items()},
        "added_tokens": [asdict(token) for token in rules.added_tokens],
        "vocabulary": tokenizer.vocab_txt.decode(),
    }
    if plan.task in ("text-classification", "token-classification"):
        entries["labels"] = list(plan.config.labels)
    for name, value in entries.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        metadata.userDefined[f"{METADATA}{name}"] = text


def _remove_date(specification: Any) -> None:
    del specification.description.metadata.userDefined[DATE]
    notes = specification.mlProgram.attributes["buildInfo"].immediateValue.dictionary.values
    kept = [note for note in notes if note.key.immediateValue.tensor.strings.values[0] != DATE]
    del notes[:]
    notes.extend(kept)


def _write_manifest(path: Path) -> None:
    """List the parts under identifiers that depend on nothing but their content."""
    specification, weights = (path / "Data" / part for part in (MODEL, WEIGHTS))
    parts = {
        _identifier(sha256_file(specification)): (MODEL, "CoreML Model Specification"),
        _identifier(_sha256_folder(weights)): (WEIGHTS, "CoreML Model Weights"),
    }
    document = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            identifier: {
                "author": AUTHOR,
                "description": description,
                "name": Path(part).name,
                "path": part,
            }
            for identifier, (part, description) in sorted(parts.items())
        },
        "rootModelIdentifier": next(iter(parts)),
    }
    (path / "Manifest.json").write_text(json.dumps(document, indent=4) + "\n", encoding="utf-8")


def _sha256_folder(folder: Path) -> str:
    names = "".join(f"{file.name} {sha256_file(file)}\n" for file in sorted(folder.iterdir()))
    return hashlib.sha256(names.encode()).hexdigest()


def _identifier(digest: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, digest)).upper()
