"""What a measurement of accuracy yields."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bertmobile.manifest import Verdict
from bertmobile_bench.interval import Interval, paired_bootstrap, paired_difference

SCHEMA_VERSION = 1


Unit = Literal["percentage points", "percent", "difference"]

_CHANGE: dict[Unit, Callable[[Any, Any], Any]] = {
    "percentage points": lambda reference, bundle: 100 * (bundle - reference),
    "percent": lambda reference, bundle: 100 * (bundle / reference - 1),
    "difference": lambda reference, bundle: bundle - reference,
}


@dataclass(frozen=True)
class Score:
    """Two models on the same texts.

    Attributes:
        measure: what the numbers are, one of the task's.
        count: answers: texts, questions, words or masked tokens.
        reference, bundle: what each of them reaches: shares from 0 to 1, correlations from -1 to 1, or
            pseudo-perplexities.
        change: the bundle against the reference, in ``unit``: the difference of two shares in percentage
            points, the difference of two correlations, the relative change of a perplexity in percent.
        interval: 95 % confidence interval of the change, low and high.
        flipped: share of the answers that are others than the reference's; see the task's module.
    """

    measure: str
    count: int
    reference: float
    bundle: float
    change: float
    unit: Unit
    interval: Interval
    flipped: float


def score_shares(
    measure: str, reference: NDArray[np.bool_], bundle: NDArray[np.bool_], *, flipped: float
) -> Score:
    """Score two models by the share of texts that each has right; one answer a text.

    Args:
        reference, bundle: [texts], whether the answer is right.
        flipped: share of answers that are others than the reference's.
    """
    low, high = paired_difference(reference, bundle)
    shares = float(reference.mean()), float(bundle.mean())
    change = _CHANGE["percentage points"](*shares)
    return Score(
        measure, len(reference), *shares, change, "percentage points", (100 * low, 100 * high), flipped
    )


def score_columns(
    measure: str,
    statistic: Callable[..., Any],
    shared: Iterable[NDArray[Any]],
    reference: Iterable[NDArray[Any]],
    bundle: Iterable[NDArray[Any]],
    *,
    unit: Unit,
    flipped: float,
    count: int | None = None,
) -> Score:
    """Score two models by a statistic of texts.

    Args:
        measure: name of the statistic.
        statistic: ``statistic(*shared, *own, axis=-1)`` of columns with the texts on that axis.
        shared: [texts] each: what is told about the texts.
        reference, bundle: [texts] each: what each model says about them.
        unit: of the change.
        flipped: share of answers that are others than the reference's.
        count: of answers; by default there is one for each text.
    """
    known, before, after = tuple(shared), tuple(reference), tuple(bundle)
    first, second = len(known), len(known) + len(before)

    def values(*columns: NDArray[Any], axis: int = -1) -> tuple[Any, Any]:
        common, own, other = columns[:first], columns[first:second], columns[second:]
        return statistic(*common, *own, axis=axis), statistic(*common, *other, axis=axis)

    def change(*columns: NDArray[Any], axis: int = -1) -> Any:
        return _CHANGE[unit](*values(*columns, axis=axis))

    columns = (*known, *before, *after)
    of_reference, of_bundle = values(*columns)
    return Score(
        measure=measure,
        count=len(columns[0]) if count is None else count,
        reference=float(of_reference),
        bundle=float(of_bundle),
        change=float(_CHANGE[unit](of_reference, of_bundle)),
        unit=unit,
        interval=paired_bootstrap(columns, change),
        flipped=flipped,
    )


def ratio(parts: NDArray[Any], wholes: NDArray[Any], axis: int = -1) -> Any:
    """Sum of the parts over that of the wholes; 0 where there are no wholes."""
    return share(parts.sum(axis=axis), wholes.sum(axis=axis))


def share(part: Any, whole: Any) -> Any:
    """``part / whole``; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) != 0)


@dataclass(frozen=True)
class Accuracy:
    """Scores of one bundle, and what they are scores of.

    Attributes:
        bundle: name of the bundle's folder.
        engine, engine_version: what ran it.
        verdict: of its parity check; a bundle that failed can be scored too.
        reference: hub id, or name of the folder, of the float32 model.
        same_weights: whether the bundle was made from the reference.
        data_sha256, lines: hash of the data file and the number of its texts.
        texts, truncated: texts that were scored, and how many of them were cut to the longest length.
        scores: one for each measure, in the order asked for.
        masks_per_text, seed: fill-mask only: most masks in a text (None: every token), and the seed of
            their choice.
    """

    bundle: str
    target: str
    recipe: str
    engine: str
    engine_version: str
    verdict: Verdict
    reference: str
    same_weights: bool
    task: str
    data_sha256: str
    lines: int
    texts: int
    truncated: int
    scores: tuple[Score, ...]
    masks_per_text: int | None
    seed: int

    @property
    def score(self) -> Score:
        """The first of the scores."""
        return self.scores[0]

    def to_json(self) -> dict[str, Any]:
        """A document that fits the schema ``accuracy``."""
        from bertmobile_bench.schemas import validate

        score, *also = ({**asdict(score), "interval": list(score.interval)} for score in self.scores)
        if self.task == "fill-mask":
            score |= {"masks_per_text": self.masks_per_text, "seed": self.seed}
        document = {
            "schema_version": SCHEMA_VERSION,
            "bundle": self.bundle,
            "target": self.target,
            "recipe": self.recipe,
            "engine": {"name": self.engine, "version": self.engine_version},
            "verdict": self.verdict,
            "reference": self.reference,
            "same_weights": self.same_weights,
            "task": self.task,
            "data": {
                "sha256": self.data_sha256,
                "lines": self.lines,
                "texts": self.texts,
                "truncated": self.truncated,
            },
            "score": score,
            "also": also,
        }
        validate(document, "accuracy")
        return document
