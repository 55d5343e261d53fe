"""What a model says about a masked token."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Guess:
    """A guess at one token.

    Attributes:
        surprise: -log p of the true token, in nats.
        rank: of the true token: how many others are likelier.
        best: the likeliest token.
    """

    surprise: float
    rank: int
    best: int


def guess(logits: NDArray[Any], token: int) -> Guess:
    """Read one row of vocabulary scores, in double precision.

    Args:
        logits: [vocabulary] floating point.
        token: the true token.
    """
    from scipy.special import logsumexp

    row = np.asarray(logits, dtype=np.float64)
    rank = np.count_nonzero(row > row[token])
    return Guess(float(logsumexp(row) - row[token]), int(rank), int(row.argmax()))
