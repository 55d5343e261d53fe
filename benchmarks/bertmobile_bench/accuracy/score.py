"""What a measurement of accuracy yields."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bertmobile.manifest import Verdict

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Guess:
    """What a model says about one masked token: -log p of the true token in nats, and the likeliest token."""

    surprise: float
    best: int


def guess(logits: NDArray[Any], token: int) -> Guess:
    """Read one row of vocabulary scores, in double precision.

    Args:
        logits: [vocabulary] floating point.
        token: the true token.
    """
    from scipy.special import logsumexp

    row = np.asarray(logits, dtype=np.float64)
    return Guess(float(logsumexp(row) - row[token]), int(row.argmax()))


@dataclass(frozen=True)
class Score:
    """Two models on the same texts.

    Attributes:
        measure: what the numbers are.
        count: answers: texts, or masked tokens.
        reference, bundle: shares from 0 to 1 (accuracy), or pseudo-perplexities.
        change: the bundle against the reference, in ``unit``: the difference of two accuracies in percentage
            points, the relative change of a perplexity in percent.
        interval: 95 % confidence interval of the change, low and high.
        flipped: share of the answers whose best label, or best token, is not the reference's.
    """

    measure: Literal["accuracy", "pseudo-perplexity"]
    count: int
    reference: float
    bundle: float
    change: float
    unit: Literal["percentage points", "percent"]
    interval: tuple[float, float]
    flipped: float


@dataclass(frozen=True)
class Accuracy:
    """A score, and what it is a score of.

    Attributes:
        bundle: name of the bundle's folder.
        engine, engine_version: what ran it.
        verdict: of its parity check; a bundle that failed can be scored too.
        reference: hub id, or name of the folder, of the float32 model.
        same_weights: whether the bundle was made from the reference.
        data_sha256, lines: hash of the data file and the number of its texts.
        texts, truncated: texts that were scored, and how many of them were cut to the longest length.
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
    score: Score
    masks_per_text: int | None
    seed: int

    def to_json(self) -> dict[str, Any]:
        """A document that fits the schema ``accuracy``."""
        from bertmobile_bench.schemas import validate

        score = {**asdict(self.score), "interval": list(self.score.interval)}
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
        }
        validate(document, "accuracy")
        return document
