"""Answers of the six tasks to given outputs of a model."""

import warnings
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np

from bertmobile.engines import Tensors
from bertmobile.manifest import Manifest
from bertmobile.model import Model
from tests.vectors import strings
from tests.vectors.bundle import manifest_of_bundle
from tests.vectors.text_cases import Tokenizers
from tests.vectors.tokenizers import manifest_of, tokenization

_ENTITIES = ("O", "B-PER", "I-PER", "MISC")
_TEXTS = (
    "Ada Lovelace met the lighthouse keeper.",
    "ADA walked; lovelace, adalovelace and éda sang unwalkable!",
    "lightwalking stonewalker, quickbridges walkable stonelightest",
    "lighthouses in London. the 中 ﬁ 👍 river zzz's stones",
    "",
)
# Longer than a run; words of more letters than their tokens have.
_LONG = (
    "Ada Lovelace walked to the café́ of naïve so­ft lighthouses, unwalkable. "
    "café stonewalker zzz's rivers and lightwalking stonelightest éda Éda in London"
)
_ENTAILMENT = (
    ("entailment", "neutral", "contradiction"),
    ("neutral", "CONTRADICTION", "Entailment"),
    ("not_entailment", "entailment"),
    ("entailment", "not_entailment"),
)
_MASKED = (
    "the [MASK] of the lighthouse.",
    "[MASK] walked to [MASK], and [MASK] [MASK] sang.",
    "do [MASK] sing!",
)
_TARGETS = ["lovelace", "walkable", "the", "the"]
_CONTEXTS = (
    "lightwalking stonewalker. quickbridges walkable stonelightest",
    "Ada Lovelace wrote letters. She walked to the lighthouse, and ADA wrote letters.",
    "The keeper of the lighthouse unwalkable zzz was London's 中 👍 number.",
    " ".join(["the keeper walked to the river and wrote a letter."] * 6),
    "Ada ADA ada Ada ÉDA éda Éda.",
)


# The second is None where there is none; the first may be words that are split already.
_Texts = list[str | list[str] | None]


class _MadeUp:
    """Outputs from a seed, few digits each; remembers what it was given and what it gave."""

    name, version = "made-up", "1"

    def __init__(self, manifest: Manifest, random: Random, digits: int) -> None:
        self._manifest, self._random, self._digits = manifest, random, digits
        self.runs: list[dict[str, Any]] = []

    def run(self, inputs: Tensors) -> dict[str, np.ndarray[Any, Any]]:
        length = inputs["input_ids"].shape[1]
        outputs = {}
        for spec in self._manifest.outputs:
            shape = [length if size == "length" else int(size) for size in spec.shape]
            values = [round(self._random.gauss(0, 3), self._digits) for _ in range(int(np.prod(shape)))]
            outputs[spec.name] = {"shape": shape, "values": values}
        self.runs.append(
            {"inputs": {name: array.ravel().tolist() for name, array in inputs.items()}, "outputs": outputs}
        )
        return {
            name: np.array(output["values"], np.float32).reshape(output["shape"])
            for name, output in outputs.items()
        }

    def close(self) -> None:
        pass


def tasks(tokenizers: Tokenizers) -> Iterator[dict[str, Any]]:
    """A task's manifest as far as it is not the bundle's, texts, options, the model's runs, the answer."""
    random = Random(6)
    usual = manifest_of_bundle(tokenizers).to_json()
    for task, fields, texts, options in _questions(random):
        spec, tokenizer = tokenizers[fields.pop("rules", "uncased")]
        digits = fields.pop("digits", 3)
        manifest = manifest_of(task, spec, **fields)
        engine = _MadeUp(manifest, random, digits)
        model = Model(manifest, tokenization(manifest, tokenizer), engine)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if "prompt" in options or "prompt_name" in options:
                answer = model.embed(texts[0], **options)
            else:
                answer = model(_input(texts), **options)
        if task == "feature-extraction":
            array = np.asarray(answer, np.float32)
            answer = {"shape": array.shape, "values": array.ravel().tolist()}
        described = {key: value for key, value in manifest.to_json().items() if value != usual[key]}
        yield {
            "manifest": described,
            "texts": texts,
            "options": options,
            "runs": engine.runs,
            "answer": answer,
        }


def _input(texts: _Texts) -> object:
    return texts[0] if texts[1] is None else tuple(texts)


def _questions(random: Random) -> Iterator[tuple[str, dict[str, Any], _Texts, dict[str, Any]]]:
    """(task, fields of its manifest, texts, options)"""
    for text in _MASKED:
        for options in ({}, {"top_k": 2}, {"targets": _TARGETS, "top_k": 9}):
            # Without slots the model scores every token, which makes for long lines.
            for slots in (1, 2, 5) if options or text != _MASKED[0] else (None, 1, 2, 5):
                fields = {"mask_slots": slots, "lengths": (16, 24), "digits": 2}
                yield "fill-mask", fields, [text, None], options
    # Whole numbers, many of them equal: of equal scores the first is the best.
    yield "fill-mask", {"mask_slots": 2, "lengths": (16,), "digits": 0}, [_MASKED[1], None], {"top_k": 40}
    for _ in range(5):
        fields = {"labels": tuple("abcdefghij"), "lengths": (8,), "digits": 0}
        yield "text-classification", fields, ["the keeper", None], {"top_k": None}
    for pair in (None, "the keeper sang"):
        for labels, problem in (
            (("bad", "good", "fine"), "single_label_classification"),
            (("bad", "good", "fine"), "multi_label_classification"),
            (("bad", "good", "fine"), None),
            (("score",), "regression"),
            (("a", "b"), "regression"),
            (("only",), "single_label_classification"),
            (("only",), None),
        ):
            for options in ({}, {"top_k": 2}, {"top_k": None}):
                fields = {"labels": labels, "problem_type": problem, "lengths": (8, 16)}
                yield "text-classification", fields, [strings.sentence(random, 5), pair], options
    for own in ("softmax", "sigmoid", "none"):
        for asked in ("softmax", "sigmoid", "none", "default", None):
            fields = {"labels": ("bad", "good"), "function_to_apply": own, "lengths": (8, 16)}
            options = {"top_k": None, "function_to_apply": asked}
            yield "text-classification", fields, [strings.sentence(random, 5), None], options
    for strategy in ("none", "simple", "first", "average", "max"):
        for text in _TEXTS:
            for rules, ignored in (("uncased", {}), ("cased", {"ignore_labels": ["MISC", "PER"]})):
                fields = {"labels": _ENTITIES, "lengths": (16, 32), "rules": rules, "digits": 1}
                options = {"aggregation_strategy": strategy, **ignored}
                yield "token-classification", fields, [text, None], options
    for strategy in ("none", "simple", "first", "average", "max"):
        fields = {"labels": _ENTITIES, "lengths": (8, 16), "digits": 1}
        options = {"aggregation_strategy": strategy, "ignore_labels": []}
        for stride in ({}, {"stride": 5}):
            yield "token-classification", {**fields}, [_LONG, None], {**options, **stride}
        split = {"is_split_into_words": True, "stride": 3}
        yield "token-classification", {**fields}, [_LONG.split(" "), None], {**options, **split}
        words = ["", "éda", "\U0001f44d river's", "so\u00adft"]
        split = {"is_split_into_words": True, "delimiter": "--"}
        yield "token-classification", {**fields}, [words, None], {**options, **split}
    for labels in _ENTAILMENT:
        for options in (
            {"candidate_labels": ["the keeper", "Éda 中", "river"]},
            {"candidate_labels": ["the keeper", "river"], "multi_label": True},
            {"candidate_labels": ["river"], "hypothesis_template": "so, {}!"},
        ):
            for text in (_TEXTS[0], _LONG):
                fields = {"labels": labels, "lengths": (16, 24)}
                yield "text-classification", fields, [text, None], options
    for context in _CONTEXTS:
        for options in (
            {},
            {"top_k": 4},
            {"top_k": 3, "max_answer_len": 2},
            {"top_k": 40, "max_answer_len": 3, "doc_stride": 2},
            {"handle_impossible_answer": True, "top_k": 5},
        ):
            yield "question-answering", {"lengths": (16, 24)}, ["who wrote it?", context], options
    for _ in range(4):
        texts: _Texts = [strings.sentence(random, 4), strings.sentence(random, 4)]
        yield "next-sentence", {"lengths": (8, 16)}, texts, {}
    for text in _TEXTS[:2]:
        yield "feature-extraction", {"lengths": (8, 16)}, [text, None], {}
    # Vectors, under prompts: one that is half a word, and one that leaves no room for the text.
    prompts = {"query": "walk", "long": "the keeper walked to the river and wrote", "none": ""}
    for include in (True, False):
        for default in (None, "query"):
            fields = {
                "prompts": prompts,
                "default_prompt": default,
                "include_prompt": include,
                "lengths": (8,),
            }
            for options in ({"prompt_name": name} for name in (None, *prompts)):
                yield "feature-extraction", dict(fields), ["able keeper", None], options
            yield "feature-extraction", dict(fields), ["able keeper", None], {"prompt": "Ada: "}
