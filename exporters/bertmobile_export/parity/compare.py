"""Runs texts through a bundle and through its reference, and collects what differs."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile import Model
from bertmobile.errors import ParityError
from bertmobile_export.parity.metrics import OutputMetrics
from bertmobile_export.parity.reference import Reference
from bertmobile_export.texts import Sample, TextSet

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Answer:
    """One text through both models: the rows that carry meaning, padding and unused slots left out."""

    sample: Sample
    bucket: int
    inputs: dict[str, NDArray[Any]]
    tokens: int
    actual: Outputs
    reference: Outputs


@dataclass
class Comparison:
    """All texts through both models."""

    metrics: dict[str, OutputMetrics]
    texts: TextSet
    buckets: Counter[int] = field(default_factory=Counter)
    kept: list[Answer] = field(default_factory=list)


def model_inputs(model: Model, sample: Sample) -> tuple[dict[str, NDArray[Any]], list[int], int]:
    """What the bundle's model is fed for a text.

    Returns:
        The inputs by name, [1, bucket] each; the rows that ``mask_positions`` asks for (empty when there is
        no such input); and the number of tokens without padding.
    """
    encoded = model.encode(sample.text, sample.pair)
    inputs = dict(encoded.inputs)
    positions: list[int] = []
    slots = model.manifest.mask_slots
    if slots:
        mask = model.manifest.tokenizer.special_tokens["mask"].id
        positions = [i for i, token in enumerate(encoded.ids) if token == mask][:slots]
        filled = positions + [0] * (slots - len(positions))
        inputs["mask_positions"] = np.array([filled], dtype=inputs["input_ids"].dtype)
    return inputs, positions, len(encoded)


def _meaningful(
    model: Model, outputs: dict[str, NDArray[Any]], tokens: int, positions: list[int], *, padded: bool
) -> Outputs:
    """Without the batch axis, and only the rows of text."""
    kept = {}
    for spec in model.manifest.outputs:
        rows = outputs[spec.name][0]
        if spec.shape[1] == "length":
            rows = rows[:tokens]
        elif model.manifest.mask_slots:
            rows = rows[: len(positions)] if padded else rows[positions]
        kept[spec.name] = np.asarray(rows, dtype=np.float32)
    return kept


def answers(model: Model, reference: Reference, texts: TextSet) -> Iterator[Answer]:
    """Each text through both models.

    Raises:
        ParityError: the bundle's tokens are not those of the source's tokenizer.
    """
    longest = model.manifest.lengths[-1]
    for number, sample in enumerate(texts.samples):
        inputs, positions, tokens = model_inputs(model, sample)
        ids = inputs["input_ids"][:, :tokens]
        if ids[0].tolist() != reference.token_ids(sample.text, sample.pair, longest):
            raise ParityError(
                f"the bundle's tokens of text {number} ({excerpt(sample)}) are not those of the source's "
                "tokenizer; the tokenizer files of the checkpoint contradict each other"
            )
        if model.manifest.mask_slots and not positions:
            continue  # its mask was truncated away
        expected = reference.run(ids, inputs["token_type_ids"][:, :tokens])
        yield Answer(
            sample=sample,
            bucket=inputs["input_ids"].shape[1],
            inputs=inputs,
            tokens=tokens,
            actual=_meaningful(model, model.run(inputs), tokens, positions, padded=True),
            reference=_meaningful(model, expected, tokens, positions, padded=False),
        )


def compare(
    model: Model,
    reference: Reference,
    texts: TextSet,
    *,
    keep_per_bucket: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Compare all texts.

    Args:
        model: the bundle, through the runtime.
        reference: its source.
        texts: what to run.
        keep_per_bucket: how many answers of each bucket to keep whole.
        progress: called with the number of texts done and their total.

    Raises:
        ParityError: different tokens, or no text that can be compared.
    """
    scores = model.manifest.task != "feature-extraction"
    comparison = Comparison({spec.name: OutputMetrics(scores) for spec in model.manifest.outputs}, texts)
    for done, answer in enumerate(answers(model, reference, texts), start=1):
        for name, metrics in comparison.metrics.items():
            metrics.add(answer.actual[name], answer.reference[name])
        if comparison.buckets[answer.bucket] < keep_per_bucket:
            comparison.kept.append(answer)
        comparison.buckets[answer.bucket] += 1
        progress(done, len(texts.samples))
    if not comparison.buckets:
        raise ParityError("none of the texts could be compared; every mask lies behind the longest bucket")
    return comparison


def excerpt(sample: Sample, width: int = 60) -> str:
    """The beginning of a text, for messages; never stored."""
    text = sample.text if len(sample.text) <= width else sample.text[: width - 3] + "..."
    return repr(text)
