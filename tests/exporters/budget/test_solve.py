"""The solver keeps within its limit, and no single exchange that it could afford would lose less."""

from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from bertmobile_export.budget.sensitivity import Choice
from bertmobile_export.budget.solve import best_within, loss, path, size, smallest
from bertmobile_export.recipes import WeightFormat

OFFERED = st.lists(
    st.tuples(st.integers(1, 50), st.floats(0, 1, allow_nan=False)), min_size=1, max_size=4
).map(lambda pairs: [Choice(WeightFormat(8), bytes_, lost) for bytes_, lost in pairs])
CHOICES = st.dictionaries(st.sampled_from("abcd"), OFFERED, min_size=1, max_size=4)


@settings(deadline=None, max_examples=200)
@given(choices=CHOICES, extra=st.integers(0, 150))
def test_the_limit_is_kept_and_every_choice_is_one_that_is_offered(
    choices: dict[str, list[Choice]], extra: int
) -> None:
    found = best_within(choices, extra)
    assert size(found, choices) <= extra
    assert all(choice in choices[name] for name, choice in found.items())
    assert loss(found) <= loss(smallest(choices)) + 1e-12


@settings(deadline=None, max_examples=100)
@given(choices=CHOICES, extra=st.integers(0, 150))
def test_what_is_lost_above_the_optimum_is_less_than_one_matrix_can_win(
    choices: dict[str, list[Choice]], extra: int
) -> None:
    every = (dict(zip(choices, chosen, strict=True)) for chosen in product(*choices.values()))
    best = min(loss(each) for each in every if size(each, choices) <= extra)
    spread = max(
        max(choice.loss for choice in offered) - min(choice.loss for choice in offered)
        for offered in choices.values()
    )
    assert loss(best_within(choices, extra)) <= best + spread + 1e-12


@settings(deadline=None, max_examples=100)
@given(choices=CHOICES)
def test_the_path_grows_and_loses_less_with_each_step(choices: dict[str, list[Choice]]) -> None:
    steps = list(path(choices))
    sizes, losses = [size(step, choices) for step in steps], [loss(step) for step in steps]
    assert sizes == sorted(set(sizes))
    assert all(later < earlier + 1e-12 for earlier, later in pairwise(losses))
    assert losses[-1] <= sum(min(choice.loss for choice in offered) for offered in choices.values()) + 1e-12


def test_more_for_the_matrix_that_wins_most_for_a_byte() -> None:
    narrow, wide = WeightFormat(4), WeightFormat(8)
    choices = {
        "cheap": [Choice(narrow, 10, 0.5), Choice(wide, 20, 0.1)],
        "dear": [Choice(narrow, 100, 0.6), Choice(wide, 200, 0.0)],
    }
    found = best_within(choices, 50)
    assert (found["cheap"].form, found["dear"].form) == (wide, narrow)
