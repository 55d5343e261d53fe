"""Runs texts through a bundle and through its reference, and collects what differs."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile import Model
from bertmobile.errors import ParityError
from bertmobile.tokenization import Encoded
from bertmobile_export.parity.numbers import Numbers
from bertmobile_export.parity.reference import Reference
from bertmobile_export.texts import Sample, TextSet
from bertmobile_export.threads import one_thread_each

WORKERS = min(os.cpu_count() or 1, 8)
# Answers in flight: with full logits one of 256 tokens is 60 MB.
BATCH = 8

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Answer:
    """One text through both models: the rows that carry meaning, padding and unused slots left out."""

    sample: Sample
    bucket: int
    inputs: dict[str, NDArray[Any]]
    encoded: Encoded
    actual: Outputs
    reference: Outputs
    also: Mapping[str, Outputs]
    """Through other engines, by their names."""


@dataclass
class Comparison:
    """All texts through both models."""

    numbers: Numbers
    texts: TextSet
    also: dict[str, Numbers] = field(default_factory=dict)
    """The same through other engines, by their names."""
    compared: list[int] = field(default_factory=list)
    """Which of the texts were compared: the numbers count only these."""
    buckets: Counter[int] = field(default_factory=Counter)
    kept: list[Answer] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the libraries behind the reference, beside torch and transformers."""
    note: str | None = None
    """What is to be said about the reference."""


def model_inputs(model: Model, sample: Sample) -> tuple[dict[str, NDArray[Any]], list[int], Encoded]:
    """What the bundle's model is fed for a text.

    Returns:
        The inputs by name, [1, bucket] each; the rows that ``mask_positions`` asks for (empty when there is
        no such input); and the tokens.
    """
    encoded = model.encode(sample.text, sample.pair, prompt=sample.prompt)
    inputs = dict(encoded.inputs)
    positions: list[int] = []
    slots = model.manifest.mask_slots
    if slots:
        mask = model.manifest.tokenizer.special_tokens["mask"].id
        positions = [i for i, token in enumerate(encoded.ids) if token == mask][:slots]
        filled = positions + [0] * (slots - len(positions))
        inputs["mask_positions"] = np.array([filled], dtype=inputs["input_ids"].dtype)
    return inputs, positions, encoded


def meaningful_outputs(model: Model, outputs: dict[str, NDArray[Any]], tokens: int, masks: int) -> Outputs:
    """Without the batch axis, the padding and the unused mask slots."""
    kept = {}
    for spec in model.manifest.outputs:
        rows = outputs[spec.name][0]
        if spec.shape[1] == "length":
            rows = rows[:tokens]
        elif model.manifest.mask_slots:
            rows = rows[:masks]
        kept[spec.name] = np.asarray(rows, dtype=np.float32)
    return kept


def _answer(model: Model, also: Mapping[str, Model], reference: Reference, sample: Sample) -> Answer | None:
    """One text through all models; None when its mask was truncated away.

    Raises:
        ParityError: the bundle's tokens are not those of the source's tokenizer.
    """
    inputs, positions, encoded = model_inputs(model, sample)
    tokens, longest = len(encoded), model.manifest.lengths[-1]
    ids = inputs["input_ids"][:, :tokens]
    if ids[0].tolist() != reference.token_ids(sample.prompt + sample.text, sample.pair, longest):
        raise ParityError(
            f"the bundle's tokens of {excerpt(sample)} are not those of the source's tokenizer; "
            "the tokenizer files of the checkpoint contradict each other"
        )
    pooled = inputs["pooling_mask"][:, :tokens] if "pooling_mask" in inputs else None
    if pooled is not None and sample.prompt:
        left_out = int((pooled == 0).sum())
        if left_out != reference.prompt_length(sample.prompt, longest):
            raise ParityError(
                f"the bundle leaves {left_out} tokens of {excerpt(sample)} out of the pooling, which is not "
                f"how long its source takes the prompt {sample.prompt!r} to be; export without that prompt"
            )
    if model.manifest.mask_slots and not positions:
        return None
    types = inputs["token_type_ids"][:, :tokens]
    expected = reference.run(ids, types, positions if model.manifest.mask_slots else None, pooled)

    def meaningful(outputs: dict[str, NDArray[Any]]) -> Outputs:
        return meaningful_outputs(model, outputs, tokens, len(positions))

    return Answer(
        sample=sample,
        bucket=model.manifest.bucket(tokens),
        inputs=inputs,
        encoded=encoded,
        actual=meaningful(model.run(inputs)),
        reference=meaningful(expected),
        also={name: meaningful(other.run(inputs)) for name, other in also.items()},
    )


def compare(
    model: Model,
    reference: Reference,
    texts: TextSet,
    *,
    also: Mapping[str, Model] = MappingProxyType({}),
    keep_per_bucket: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Compare all texts.

    Args:
        model: the bundle, through the runtime, on one thread.
        reference: its source.
        texts: what to run; where the bundle has prompts, some of them under each as well.
        also: the same bundle on other engines.
        keep_per_bucket: how many answers of each bucket to keep whole.
        progress: called with the number of texts done and their total.

    Raises:
        ParityError: different tokens, or no text that can be compared.
    """
    manifest = model.manifest
    embedding = manifest.embedding
    if embedding is not None:
        texts = texts.with_prompts([embedding.default_text, *embedding.prompts.values()])
    comparison = Comparison(
        Numbers.of(manifest),
        texts,
        {name: Numbers.of(manifest) for name in also},
        versions=reference.versions,
        note=reference.note,
    )
    done = 0
    with one_thread_each(), ThreadPoolExecutor(WORKERS) as pool:
        for batch in batched(texts.samples, BATCH):
            for answer in pool.map(lambda sample: _answer(model, also, reference, sample), batch):
                done += 1
                progress(done, len(texts.samples))
                if answer is None:
                    continue
                comparison.compared.append(done - 1)
                comparison.numbers.add(answer.actual, answer.reference, answer.encoded)
                for engine, outputs in answer.also.items():
                    comparison.also[engine].add(outputs, answer.reference, answer.encoded)
                if comparison.buckets[answer.bucket] < keep_per_bucket:
                    comparison.kept.append(answer)
                comparison.buckets[answer.bucket] += 1
    if not comparison.buckets:
        raise ParityError("none of the texts could be compared; every mask lies behind the longest bucket")
    return comparison


def batched(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    """Slices of ``size``."""
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def excerpt(sample: Sample, width: int = 60) -> str:
    """The beginning of a text, for messages; never stored."""
    text = sample.text if len(sample.text) <= width else sample.text[: width - 3] + "..."
    return repr(text)
