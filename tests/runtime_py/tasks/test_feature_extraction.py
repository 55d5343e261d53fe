import numpy as np
import pytest

from bertmobile.errors import UsageError

from ..helpers import HIDDEN, TEXTS

SHORT = [*TEXTS[:8], ""]


@pytest.mark.parametrize("text", SHORT)
def test_token_states_equal_the_pipeline_without_padding(models, text):
    model, pipeline = models("feature-extraction")
    ours, expected = model(text, return_tensors=True), pipeline(text, return_tensors=True).numpy()
    assert ours.dtype == np.float32 and ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    assert model(text) == ours.tolist()


def test_embed_gives_the_mean_of_the_states(models):
    model, pipeline = models("feature-extraction")
    vectors = model.embed(SHORT)
    assert vectors.dtype == np.float32 and vectors.shape == (len(SHORT), HIDDEN)
    expected = [np.mean(pipeline(text)[0], axis=0) for text in SHORT]
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_embed_takes_one_string_and_an_empty_list(models):
    model, _ = models("feature-extraction")
    assert model.embed("one").shape == (1, HIDDEN)
    assert model.embed([]).shape == (0, HIDDEN)


@pytest.mark.parametrize("texts", [[1], [None], [("a", "b")]])
def test_embed_refuses_what_is_not_text(models, texts):
    model, _ = models("feature-extraction")
    with pytest.raises(UsageError):
        model.embed(texts)


def test_embed_of_another_task_is_a_usage_error(models):
    model, _ = models("fill-mask", mask_slots=3)
    with pytest.raises(UsageError, match="feature-extraction"):
        model.embed(["text"])
