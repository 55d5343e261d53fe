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


PROMPTS = {"query": "who wrote it: ", "none": ""}


def mean_of(pipeline, text, skipped=0):
    return np.mean(pipeline(text)[0][skipped:], axis=0)


@pytest.mark.parametrize(
    ("default", "options", "prompt"),
    [
        (None, {}, ""),
        (None, {"prompt_name": "query"}, PROMPTS["query"]),
        ("query", {}, PROMPTS["query"]),
        ("query", {"prompt_name": "none"}, ""),
        ("query", {"prompt": ""}, ""),
        ("query", {"prompt": "a: ", "prompt_name": "none"}, "a: "),
    ],
)
def test_embed_puts_a_prompt_before_the_text(models, default, options, prompt):
    model, pipeline = models("feature-extraction", prompts=PROMPTS, default_prompt=default)
    (vector,) = model.embed(TEXTS[0], **options)
    np.testing.assert_allclose(vector, mean_of(pipeline, prompt + TEXTS[0]), atol=1e-4)


def test_the_tokens_of_a_prompt_can_be_left_out(models):
    """[CLS] counts among them, and what the text makes of the prompt's last word does not."""
    model, pipeline = models("feature-extraction", include_prompt=False)
    for prompt in ("who: ", "wri"):
        skipped = len(model.encode(prompt)) - 1
        (vector,) = model.embed("ting it", prompt=prompt)
        np.testing.assert_allclose(vector, mean_of(pipeline, f"{prompt}ting it", skipped), atol=1e-4)
    (whole,) = model.embed("writing it")
    np.testing.assert_allclose(whole, mean_of(pipeline, "writing it"), atol=1e-4)


def test_a_prompt_that_is_not_known_is_refused_with_those_that_are(models):
    model, _ = models("feature-extraction", prompts=PROMPTS)
    with pytest.raises(UsageError, match="no prompt is called 'tale'; known: query, none"):
        model.embed("text", prompt_name="tale")
    with pytest.raises(UsageError, match="prompt must be a string, not int"):
        model.embed("text", prompt=3)
