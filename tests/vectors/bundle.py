"""A bundle with a made-up model, for what reads and verifies bundles and checks golden answers."""

import hashlib
import json
from dataclasses import replace

from bertmobile.errors import BundleError
from bertmobile.manifest import FileEntry, Manifest
from bertmobile.schemas import validate
from tests.vectors.strings import WORDS
from tests.vectors.text_cases import Tokenizers
from tests.vectors.tokenizers import manifest_of, tokenization

LABELS = ("bad", "good", "fine")


def logits(ids: list[int]) -> list[float]:
    """What the made-up model answers to the ids of a text without its padding."""
    return [(sum(ids) * (label + 3)) % 17 / 4 for label in range(len(LABELS))]


def manifest_of_bundle(tokenizers: Tokenizers) -> Manifest:
    """Its manifest without the files."""
    return manifest_of(
        "text-classification",
        tokenizers["uncased"][0],
        labels=LABELS,
        lengths=(8, 16),
        problem_type="single_label_classification",
    )


def bundle(tokenizers: Tokenizers, vocabulary: list[str]) -> dict[str, str]:
    """The bundle's files."""
    manifest, tokenizer = manifest_of_bundle(tokenizers), tokenizers["uncased"][1]
    cases = []
    for size in range(1, 9):
        encoded = tokenization(manifest, tokenizer).encode(" ".join(WORDS[:size]))
        answer = logits(encoded.ids)
        cases.append(
            {
                "text": encoded.text,
                "pair": None,
                "bucket": encoded.inputs["input_ids"].shape[1],
                "tokens": len(encoded),
                "inputs": {
                    name: row[0, : len(encoded)].tolist() for name, row in encoded.inputs.items()
                },
                "outputs": {
                    "logits": {"indices": [0, 2], "reference": answer[::2], "engine": answer[::2]}
                },
            }
        )  # fmt: skip
    golden = {
        "schema_version": 1,
        "tolerance": {"logits": {"max_abs": 0.001, "cosine": 0.99}},
        "cases": cases,
    }
    validate(golden, "golden", source="golden.json", error=BundleError)
    files = {
        "golden.json": json.dumps(golden),
        "model.tflite": "no model\n",
        "vocab.txt": "".join(f"{token}\n" for token in vocabulary),
    }
    entries = {name: _entry(text) for name, text in files.items()}
    document = replace(manifest, files=entries).to_json()
    return {**files, "manifest.json": json.dumps(document, indent=1) + "\n"}


def _entry(text: str) -> FileEntry:
    data = text.encode()
    return FileEntry(hashlib.sha256(data).hexdigest(), len(data))
