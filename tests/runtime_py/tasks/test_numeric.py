import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bertmobile.tasks.numeric import as_float32, sigmoid, softmax, top_indices

LOGITS = arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e4, 1e4, width=32))


@given(LOGITS)
def test_softmax_is_finite_and_sums_to_one(logits):
    scores = softmax(logits)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all() and abs(scores.sum() - 1) < 1e-4


@given(LOGITS)
def test_sigmoid_equals_the_exact_one_without_overflow(logits):
    with np.errstate(over="raise", invalid="raise"):
        scores = sigmoid(logits)
    assert scores.dtype == np.float32
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(scores, exact, rtol=2e-3, atol=1e-7)


@given(arrays(np.float32, st.integers(1, 30), elements=st.sampled_from([0.0, 0.25, 1.0])), st.integers(1, 40))
def test_top_indices_are_those_of_a_full_stable_sort(scores, count):
    expected = sorted(range(scores.size), key=lambda index: (-scores[index], index))[:count]
    assert top_indices(scores, count).tolist() == expected


def test_float16_outputs_become_float32():
    assert as_float32(np.ones(2, np.float16)).dtype == np.float32
