"""The tokenizers of the vectors: one vocabulary of our own, with every set of rules a manifest may have."""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tokenizers import Tokenizer, normalizers

from bertmobile.manifest import Manifest, TokenizerSpec
from bertmobile.tokenization import Tokenization
from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.checkpoint.tokenizer import read_tokenizer
from tests.runtime_py.helpers import make_manifest
from tests.vectors.strings import ADDED_PARTS, SPECIAL, WORDS

PLAIN = dict(zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True))
# One of them begins with another: the longer one counts.
RENAMED = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<s>mask"}


def _added(content: str, **flags: bool) -> dict[str, Any]:
    usual = {"special": False, "lstrip": False, "rstrip": False, "single_word": False, "normalized": True}
    return {"content": content, **usual, **flags}


# As in tokenizer_config.json's added_tokens_decoder.
ADDED = [
    _added("[E1]", special=True, normalized=False),
    _added("[Q]", special=True, normalized=False, lstrip=True, rstrip=True),
    _added("[MASK]", special=True, normalized=False, lstrip=True),
    _added("Lighthouse", single_word=True),
    _added("light", rstrip=True, normalized=False, single_word=True),
    _added("Été", lstrip=True),
    _added("keeper of"),
]


def random_tokens(random: Random) -> list[dict[str, Any]]:
    """Added tokens of parts that texts have, with flags of any kind."""
    parts = ["".join(random.choices(ADDED_PARTS, k=random.randrange(1, 4))) for _ in range(8)]
    # What begins with white space or is nothing but marks is refused.
    contents = filter(None, (part.lstrip(" \t\v\u3000\u2028\u200b\u0301") for part in parts))
    names = ("special", "lstrip", "rstrip", "single_word", "normalized")
    return [
        _added(content, **{name: random.random() < 0.5 for name in names})
        for content in dict.fromkeys(contents)
    ]


# Names of rules with added tokens to these.
WITH_ADDED = {"added": ADDED, **{f"added-{seed}": random_tokens(Random(seed)) for seed in range(4)}}
_LONGEST = 12

# name -> (lower_case, strip_accents, tokenize_chinese_chars), special tokens
RULES = {
    "uncased": ((True, True, True), PLAIN),
    "cased": ((False, False, True), PLAIN),
    "lower-with-accents": ((True, False, True), PLAIN),
    "cased-without-accents": ((False, True, True), PLAIN),
    "uncased-chinese-words": ((True, True, False), PLAIN),
    "cased-chinese-words": ((False, False, False), PLAIN),
    "lower-with-accents-chinese-words": ((True, False, False), PLAIN),
    "cased-without-accents-chinese-words": ((False, True, False), PLAIN),
    "renamed": ((True, True, True), RENAMED),
    "short-words": ((True, True, True), PLAIN),
    **{name: ((seed % 2 == 0, seed % 3 != 1, True), PLAIN) for seed, name in enumerate(WITH_ADDED)},
}
_PIECES = """
    ##s ##ing ##er ##est ##ed ##able ##walk ##light ##bridge un walk light stone quick ##e ##a ##x ##中
    n't 's 'm 've 're é Ada London 中 ##. ##,
""".split()  # noqa: SIM905 - a list of so many strings is hard to read


def large_vocabulary(texts: Iterable[str]) -> list[str]:
    """Our words, and half of the texts' characters, so that much is known and much not."""
    random = Random(1)
    nfd, lower = normalizers.NFD(), normalizers.Lowercase()
    forms = (form for text in texts for form in (text, nfd.normalize_str(text), lower.normalize_str(text)))
    # White space is no token: a line of vocab.txt that ends with it would be read without.
    characters = sorted({character for form in forms for character in form if not character.isspace()})
    kept = [character for character in characters if character <= "~" or random.random() < 0.5]
    parts = [f"##{character}" for character in characters if random.random() < 0.3]
    return list(dict.fromkeys([*small_vocabulary(), *kept, *parts]))


def small_vocabulary() -> list[str]:
    """Few enough tokens that a test can hold scores for each of them."""
    marks = ".,!?'-[]"
    tokens = [*SPECIAL, *RENAMED.values(), *marks, *"abcdehilmnrstwxE", *WORDS, *_PIECES]
    return list(dict.fromkeys(tokens))


def tokenizers(vocabulary: list[str]) -> dict[str, tuple[TokenizerSpec, Tokenizer]]:
    """Name of a set of rules to what a manifest says of it, and the tokenizer that an export makes of it."""
    made = {}
    config = ModelConfig(
        vocab_size=len(vocabulary) + 9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=4, hidden_act="gelu", max_position_embeddings=512, type_vocab_size=2,
        layer_norm_eps=1e-12, pad_token_id=0, tie_word_embeddings=True, num_labels=2, labels=("a", "b"),
        problem_type=None, recorded_activation=None, architecture=None,
    )  # fmt: skip
    for name, ((lower, accents, chinese), special) in RULES.items():
        settings: dict[str, object] = {f"{role}_token": token for role, token in special.items()}
        settings |= {"do_lower_case": lower, "strip_accents": accents, "tokenize_chinese_chars": chinese}
        if name in WITH_ADDED:
            settings["added_tokens_decoder"] = dict(enumerate(WITH_ADDED[name], len(vocabulary)))
        with tempfile.TemporaryDirectory() as created:
            folder = Path(created)
            (folder / "config.json").write_text("{}", "utf-8")
            (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
            (folder / "vocab.txt").write_bytes("".join(f"{token}\n" for token in vocabulary).encode())
            files = read_tokenizer(folder, config)
            if name == "short-words":
                tokenizer = Tokenizer.from_buffer(files.tokenizer_json)
                tokenizer.model.max_input_chars_per_word = _LONGEST
                tokenizer.save(str(folder / "tokenizer.json"))
                settings["tokenizer_class"] = "PreTrainedTokenizerFast"
                (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
                files = read_tokenizer(folder, config)
        made[name] = files.spec, Tokenizer.from_str(files.tokenizer_json.decode())
    return made


def manifest_of(task: str, spec: TokenizerSpec, *, dynamic: bool = False, **fields: object) -> Manifest:
    """A manifest of that tokenizer; ``fields`` as in :func:`tests.runtime_py.helpers.make_manifest`."""
    made = make_manifest(task, **fields)
    tokenizer = replace(spec, type_vocab_size=fields.get("type_vocab_size", 2))
    inputs, outputs = made.inputs, made.outputs
    if dynamic:
        inputs = tuple(replace(tensor, shape=("batch", *tensor.shape[1:])) for tensor in inputs)
    if task == "fill-mask":
        outputs = tuple(
            replace(tensor, shape=(*tensor.shape[:2], tokenizer.vocab_size)) for tensor in outputs
        )
    return replace(made, tokenizer=tokenizer, inputs=inputs, outputs=outputs)


def tokenization(manifest: Manifest, tokenizer: Tokenizer) -> Tokenization:
    return Tokenization(Tokenizer.from_str(tokenizer.to_str()), manifest)
