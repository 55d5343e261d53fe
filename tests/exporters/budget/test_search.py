"""The search finds the largest loss that keeps a bound, from any first guess, in few files."""

import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bertmobile_export.budget.bounds import CosineBound, FlipBound, bound_of, kept_cosine
from bertmobile_export.budget.search import FINER, FURTHEST, LESS, Trial, next_loss
from bertmobile_export.recipes import flipping, keeping, read_recipe, within

FILES = 6
BOUND = 0.01


def search(measure: Callable[[float], float], first: float, exponent: float = 1.0) -> list[Trial]:
    trials: list[Trial] = []
    loss = first
    for _ in range(FILES):
        measured = measure(loss)
        trials.append(Trial(loss, measured, measured <= BOUND))
        loss = next_loss(trials, BOUND, exponent)
    return trials


@given(
    largest=st.floats(1e-4, 1.0),
    guess=st.floats(-1.5, 1.5).map(lambda power: 10**power),
    power=st.floats(0.7, 1.5),
)
def test_a_first_guess_that_is_off_in_either_direction_ends_at_the_bound(
    largest: float, guess: float, power: float
) -> None:
    """Whatever the proportion of what is measured to what is expected, and nearly whatever the power."""
    trials = search(lambda loss: BOUND * (loss / largest) ** power, largest * guess)
    best = max(trial.loss for trial in trials if trial.kept)
    assert 0.85 * largest < best <= largest * (1 + 1e-9)


@given(largest=st.floats(1e-4, 1.0), guess=st.floats(0.02, 50.0))
def test_decisions_that_change_grow_with_the_root_of_the_loss(largest: float, guess: float) -> None:
    def flips(loss: float) -> float:
        return BOUND * math.sqrt(loss / largest)

    trials = search(flips, largest * guess, FlipBound.exponent)
    assert 0.85 * largest < max(trial.loss for trial in trials if trial.kept)


def test_a_file_that_another_threshold_fails_leads_to_one_that_loses_less() -> None:
    assert next_loss([Trial(0.1, BOUND / 2, kept=False)], BOUND, 1.0) == 0.1 / FINER
    both = [Trial(0.1, BOUND / 2, kept=False), Trial(0.05, BOUND / 4, kept=True)]
    assert 0.05 < next_loss(both, BOUND, 1.0) < 0.1


def test_a_file_that_loses_nothing_leads_far() -> None:
    assert next_loss([Trial(1e-3, 0.0, kept=True)], BOUND, 1.0) == 1e-3 * FURTHEST


def test_a_smaller_file_that_chance_fails_below_a_kept_one_is_no_limit() -> None:
    """What is measured has chance in it: only failures beyond the best file count."""
    trials = [Trial(0.1, 2 * BOUND, False), Trial(0.02, 1.1 * BOUND, False), Trial(0.03, BOUND, True)]
    assert 0.03 < next_loss(trials, BOUND, 1.0) < 0.1


def numbers(cosines: dict[str, float], flips: int, decided: int = 512) -> dict:
    outputs = {name: {"cosine_mean": value} for name, value in cosines.items()}
    return {"outputs": outputs, "labels": {"flips": flips, "decided": decided}}


def test_what_is_measured_is_the_worst_of_all_outputs_and_engines() -> None:
    report = numbers({"start_logits": 0.999, "end_logits": 0.998}, 3)
    report["also"] = {"other": numbers({"start_logits": 0.997, "end_logits": 0.999}, 5)}
    assert kept_cosine(report) == 0.997
    assert CosineBound(0.99).measured(report) == 1 - 0.997
    flips = FlipBound(0.01)
    # One per cent of 512 decisions are five.
    assert flips.measured(report) == flips.most(report) == 5.5
    report["also"]["other"]["labels"]["flips"] = 6
    assert flips.measured(report) > flips.most(report)


def test_no_decision_may_change_where_none_is_allowed_to() -> None:
    none, one = (numbers({}, flips) | {"also": {}} for flips in (0, 1))
    bound = FlipBound(0.0)
    assert bound.measured(none) <= bound.most(none) and bound.measured(one) > bound.most(one)


def test_only_bounds_on_answers_are_searched_for() -> None:
    mixed = read_recipe("mixed")
    assert bound_of(mixed) is None and bound_of(within(mixed, 10**6)) is None
    assert bound_of(read_recipe("int8")) is None
    assert bound_of(keeping(mixed, 0.999)) == CosineBound(0.999)
    assert bound_of(flipping(mixed, 0.01)) == FlipBound(0.01)


def test_a_file_that_just_breaks_the_bound_is_not_tried_again() -> None:
    assert next_loss([Trial(0.1, 1.01 * BOUND, kept=False)], BOUND, 1.0) <= 0.1 * LESS
