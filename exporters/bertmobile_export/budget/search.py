"""The smallest file that keeps a bound which is only known of written files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Of a bound, what the next file aims at: a file just above it is of no use.
AIM = 0.97
# How far one file may lead, as a factor of the loss: proportions do not hold for much longer.
FURTHEST = 100.0
# A file that broke the bound is followed by another one: less may lead to the same formats.
LESS = 0.8
# Where a threshold of another kind broke, which does not say by how much.
FINER = 10.0
# Between a file that keeps the bound and one that does not, no nearer to either than this part of the way.
NEAREST = 0.1


@dataclass(frozen=True)
class Trial:
    """A written file.

    Attributes:
        loss: what it was expected to lose, in the unit of the sensitivities.
        measured: what it lost, in that of the bound.
        kept: whether it passes.
    """

    loss: float
    measured: float
    kept: bool


def next_loss(trials: Sequence[Trial], bound: float, exponent: float) -> float:
    """What the next file may be expected to lose, so that it is as small as can be and keeps the bound.

    What is measured grows with a power of what is expected, roughly and with chance in it: regula falsi on
    logarithms, once there are files on both sides of the bound.

    Args:
        trials: the files so far, at least one.
        bound: the most that may be measured.
        exponent: of that power.
    """
    best = max((trial for trial in trials if trial.kept), key=lambda trial: trial.loss, default=None)
    broken = min(
        (trial for trial in trials if not trial.kept and (best is None or trial.loss > best.loss)),
        key=lambda trial: trial.loss,
        default=None,
    )
    if best is None or broken is None:
        return _beyond(best or broken or trials[-1], bound, exponent)
    way = 0.5
    if broken.measured > bound and 0 < best.measured < broken.measured:
        way = math.log(AIM * bound / best.measured) / math.log(broken.measured / best.measured)
    way = min(max(way, NEAREST), 1 - NEAREST)
    return math.exp((1 - way) * math.log(best.loss) + way * math.log(broken.loss))


def _beyond(trial: Trial, bound: float, exponent: float) -> float:
    """In the direction of the bound, from files that all lie on one side of it."""
    if not trial.kept and trial.measured <= bound:  # something else than the bound broke
        return trial.loss / FINER
    factor = (AIM * bound / trial.measured) ** (1 / exponent) if trial.measured else FURTHEST
    furthest = FURTHEST if trial.kept else LESS
    return trial.loss * min(max(factor, 1 / FURTHEST), furthest)
