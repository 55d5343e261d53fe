"""Measures against scikit-learn, scipy, published examples and their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef

from bertmobile import UsageError
from bertmobile_bench.accuracy import answers, correlation, labels
from bertmobile_bench.accuracy.entities import entities
from bertmobile_bench.accuracy.score import score_columns
from tests.messages import error_of


def columns(values: st.SearchStrategy[int], size: int = 2) -> st.SearchStrategy[np.ndarray]:
    rows = st.lists(st.tuples(*[values] * size), min_size=2, max_size=40)
    return rows.map(lambda found: np.array(found).T)


# --- labels


@given(columns(st.integers(0, 1)))
def test_f1_is_that_of_the_second_label(found: np.ndarray) -> None:
    assert labels.f1(*found) == pytest.approx(f1_score(*found, zero_division=0))


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(columns(st.integers(0, 3)))
def test_matthews_correlation_is_that_of_scikit_learn_for_any_number_of_labels(found: np.ndarray) -> None:
    assert labels.matthews(*found) == pytest.approx(matthews_corrcoef(*found), abs=1e-12)


@pytest.mark.parametrize(
    "measure",
    [labels.f1, labels.matthews, correlation.pearson, correlation.spearman],
    ids=lambda f: f.__name__,
)
def test_a_measure_of_many_draws_is_that_of_each(measure: object) -> None:
    true, told = np.random.default_rng(0).integers(0, 2, (2, 50, 12)).astype(np.float64)
    expected = [measure(*pair) for pair in zip(true, told, strict=True)]
    assert measure(true, told, axis=-1) == pytest.approx(np.array(expected))


def test_labels_are_scored_by_what_both_models_say() -> None:
    true = [1, 1, 1, 0, 0, 0, 1, 0]
    reference, bundle = [1, 1, 1, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 1, 1, 0]
    pairs = list(zip(reference, bundle, strict=True))
    accuracy, f1, matthews = labels.score(labels.measures(2), true, pairs)
    assert (accuracy.reference, accuracy.bundle, accuracy.change) == (7 / 8, 6 / 8, -12.5)
    assert (f1.reference, f1.bundle) == pytest.approx((8 / 9, 6 / 8))
    assert f1.change == pytest.approx(100 * (6 / 8 - 8 / 9)) and f1.unit == "percentage points"
    assert matthews.change == pytest.approx(
        matthews_corrcoef(true, bundle) - matthews_corrcoef(true, reference)
    )
    for score in (accuracy, f1, matthews):
        assert score.flipped == 1 / 8 and score.interval[0] <= score.change <= score.interval[1]


# --- numbers


@given(columns(st.integers(0, 6)))
def test_correlations_are_those_of_scipy_or_zero_where_scipy_has_none(found: np.ndarray) -> None:
    true, told = found.astype(np.float64)
    if np.ptp(true) and np.ptp(told):
        expected = pearsonr(true, told).statistic, spearmanr(true, told).statistic
    else:
        expected = (0.0, 0.0)
    assert (correlation.pearson(true, told), correlation.spearman(true, told)) == pytest.approx(expected)


@given(columns(st.integers(0, 9), size=3))
def test_ranks_by_counting_are_those_of_scipy(found: np.ndarray) -> None:
    assert correlation._ranks(found) == pytest.approx(rankdata(found, axis=-1))


def test_numbers_are_scored_by_correlations_and_flips_are_pairs_in_another_order() -> None:
    true = [0.0, 1.0, 2.5, 3.0, 5.0]
    reference, bundle = [0.1, 0.2, 0.3, 0.4, 0.9], [0.1, 0.3, 0.2, 0.4, 0.9]
    pairs = list(zip(reference, bundle, strict=True))
    spearman, pearson = correlation.score(("spearman", "pearson"), true, pairs)
    assert (spearman.reference, spearman.bundle) == pytest.approx((1.0, spearmanr(true, bundle).statistic))
    assert pearson.bundle == pytest.approx(pearsonr(true, bundle).statistic)
    # One of the ten pairs of texts.
    assert spearman.flipped == pearson.flipped == pytest.approx(0.1)
    assert spearman.unit == "difference" and spearman.change < 0
    assert spearman.interval[0] <= spearman.change <= spearman.interval[1] == 0
    (broken,) = correlation.score(("pearson",), true, [(value, 1.0) for value in reference])
    assert broken.bundle == 0.0 and broken.flipped == 0.5
    message = error_of(UsageError, correlation.score, ("pearson",), [1.0] * 5, pairs)
    assert "all labels of the data are the same" in message


def test_an_interval_of_a_correlation_holds_the_change_of_the_population() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(20):
        true = random.normal(size=60)
        reference = true + random.normal(size=60)
        bundle = reference + 0.5 * random.normal(size=60)
        (score,) = correlation.score(("pearson",), true, list(zip(reference, bundle, strict=True)))
        covered += score.interval[0] <= 1 / 1.5 - 1 / np.sqrt(2) <= score.interval[1]
    assert covered >= 17


# --- entities


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        # The README of seqeval, and its scheme by scheme examples.
        ("O O O B-MISC I-MISC I-MISC O", {(3, 6, "MISC")}),
        ("B-PER I-PER O B-LOC", {(0, 2, "PER"), (3, 4, "LOC")}),
        ("B-PER B-PER I-PER", {(0, 1, "PER"), (1, 3, "PER")}),
        # IOB1: I begins an entity, and B only one that touches another of its type.
        ("I-LOC I-LOC O I-LOC B-LOC", {(0, 2, "LOC"), (3, 4, "LOC"), (4, 5, "LOC")}),
        ("B-PER I-LOC", {(0, 1, "PER"), (1, 2, "LOC")}),
        # IOBES.
        ("S-LOC B-PER I-PER E-PER I-PER S-PER", {(0, 1, "LOC"), (1, 4, "PER"), (4, 5, "PER"), (5, 6, "PER")}),
        # Without prefixes, and types with a dash.
        ("LOC LOC O B-A-B I-A-B", {(0, 2, "LOC"), (3, 5, "A-B")}),
        ("O O", set()),
        ("", set()),
    ],
)
def test_entities_are_those_of_conlleval(tags: str, expected: set[tuple[int, int, str]]) -> None:
    assert entities(tags.split()) == expected


@given(st.lists(st.sampled_from(["O", *(f"{p}-{kind}" for p in "BIES" for kind in "XY")])))
def test_entities_cover_each_word_that_is_not_outside_once(tags: list[str]) -> None:
    found = sorted(entities(tags))
    covered = [(word, kind) for begin, end, kind in found for word in range(begin, end)]
    assert covered == [(number, tag[2:]) for number, tag in enumerate(tags) if tag != "O"]


# --- answers


@pytest.mark.parametrize(
    ("answer", "right", "exact", "f1"),
    [
        ("The Denver  Broncos!", ["Denver Broncos"], True, 1.0),
        ("Denver", ["Carolina Panthers", "the Denver Broncos"], False, 2 / 3),
        ("in in Paris", ["in Paris"], False, 4 / 5),
        ("Rome", ["Paris"], False, 0.0),
        # An article within a word stays, and what is left of nothing but articles has no word in common.
        ("theatre", ["atre"], False, 0.0),
        ("the", ["a"], True, 0.0),
    ],
)
def test_answers_are_counted_as_squad_counts_them(
    answer: str, right: list[str], exact: bool, f1: float
) -> None:
    assert answers.exact_match(answer, right) == exact
    assert answers.f1(answer, right) == pytest.approx(f1)


@given(st.text(), st.text())
def test_shared_words_are_mutual_and_whole_for_the_same_answer(one: str, other: str) -> None:
    assert answers.normalized(answers.normalized(one)) == answers.normalized(one)
    assert answers.f1(one, [other]) == answers.f1(other, [one])
    assert answers.f1(one, [one, other]) == (1.0 if answers.normalized(one) else 0.0)
    assert answers.exact_match(one, [one])


# --- all


def test_a_score_of_columns_compares_a_statistic_of_the_texts_of_both_models() -> None:
    masks, before, after = np.array([2.0, 3, 5]), np.array([1.0, 2, 3]), np.array([2.0, 2, 4])

    def mean(masks: np.ndarray, sums: np.ndarray, axis: int) -> np.ndarray:
        return sums.sum(axis=axis) / masks.sum(axis=axis)

    found = {
        unit: score_columns("top-1", mean, [masks], [before], [after], unit=unit, flipped=0.0, count=10)
        for unit in ("percentage points", "percent", "difference")
    }
    assert {(score.reference, score.bundle, score.count) for score in found.values()} == {(0.6, 0.8, 10)}
    changes = [score.change for score in found.values()]
    assert changes == pytest.approx([20.0, 100 / 3, 0.2])
