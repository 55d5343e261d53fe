"""The solver keeps within its limit, and no assignment that keeps it loses clearly less."""

from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from bertmobile_export.budget.sensitivity import Choice
from bertmobile_export.budget.solve import STEPS, UNITS, Frontier, loss, size, smallest
from bertmobile_export.recipes import WeightFormat

OFFERED = st.lists(
    st.tuples(st.integers(1, 50), st.floats(0, 1, allow_nan=False)), min_size=1, max_size=4
).map(lambda pairs: [Choice(WeightFormat(8), bytes_, lost) for bytes_, lost in pairs])
CHOICES = st.dictionaries(st.sampled_from("abcd"), OFFERED, min_size=1, max_size=4)


def every(choices: dict[str, list[Choice]]) -> list[dict[str, Choice]]:
    return [dict(zip(choices, chosen, strict=True)) for chosen in product(*choices.values())]


@settings(deadline=None, max_examples=200)
@given(choices=CHOICES, extra=st.integers(0, 150))
def test_of_all_assignments_within_a_limit_the_one_that_loses_least_is_found(
    choices: dict[str, list[Choice]], extra: int
) -> None:
    found = Frontier(choices).within(extra)
    assert size(found, choices) <= extra
    assert all(choice in choices[name] for name, choice in found.items())
    best = min(loss(each) for each in every(choices) if size(each, choices) <= extra)
    assert loss(found) <= best + 1e-12


@settings(deadline=None, max_examples=200)
@given(choices=CHOICES, most=st.floats(0, 4, allow_nan=False))
def test_of_all_assignments_that_lose_little_enough_the_smallest_is_found(
    choices: dict[str, list[Choice]], most: float
) -> None:
    found = Frontier(choices).losing(most)
    fitting = [size(each, choices) for each in every(choices) if loss(each) <= most - 1e-12]
    if fitting:
        assert loss(found) <= most + 1e-12 and size(found, choices) <= min(fitting)
    else:
        assert loss(found) <= max(most, min(map(loss, every(choices)))) + 1e-12


@settings(deadline=None, max_examples=50)
@given(choices=CHOICES, factor=st.integers(1, 10**7), share=st.floats(0, 1))
def test_large_files_keep_their_limits_too_and_leave_little_of_them(
    choices: dict[str, list[Choice]], factor: int, share: float
) -> None:
    large = {
        name: [Choice(choice.form, choice.bytes * factor, choice.loss) for choice in offered]
        for name, offered in choices.items()
    }
    whole = sum(max(choice.bytes for choice in offered) for offered in large.values())
    extra = int(share * whole)
    found = Frontier(large).within(extra)
    assert size(found, large) <= extra
    spared = extra - len(choices) * (whole // UNITS + 2)
    fitting = [loss(each) for each in every(large) if size(each, large) <= spared]
    assert not fitting or loss(found) <= min(fitting) + 1e-12


@settings(deadline=None, max_examples=100)
@given(choices=CHOICES)
def test_the_path_leads_from_the_smallest_to_what_loses_least(choices: dict[str, list[Choice]]) -> None:
    steps = list(Frontier(choices).path())
    assert len(steps) == STEPS
    losses = [loss(step) for step in steps]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(losses))
    assert size(steps[0], choices) == 0 and loss(steps[0]) <= loss(smallest(choices)) + 1e-12
    assert abs(losses[-1] - min(map(loss, every(choices)))) < 1e-12
