"""The calls that docs/runtime.md lists: the pipelines of transformers and the runtime answer them alike."""

import json
from pathlib import Path

import numpy as np
import pytest
import transformers

from bertmobile.model import Model

from ..test_docs import code, rows, section
from .conftest import tokenization
from .helpers import LENGTHS, HashEngine, make_manifest, tokenizer_folder

CALLS = [
    (task, code(call)[0], code(answer)[0]) for task, call, answer in rows(section("docs/runtime.md", "Calls"))
]
MANIFESTS = {
    "text-classification": {"labels": ("negative", "neutral", "positive")},
    "zero-shot-classification": {"labels": ("entailment", "neutral", "contradiction")},
    "token-classification": {"labels": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")},
    "fill-mask": {"mask_slots": 3},
}
# Tasks for which this release of transformers has no pipeline.
ALONE = ("question-answering", "next-sentence")


CLASSIC = json.loads((Path(__file__).parent / "tasks/question_answering.json").read_text("utf-8"))["calls"]


@pytest.fixture
def both(models):
    """Task -> our model and the pipeline, if there is one, which cuts where the bundle does."""

    def make(task):
        bundled = "text-classification" if task.startswith("zero-shot") else task
        model, network = models(bundled, **MANIFESTS.get(task, {}))
        if task in ALONE:
            return model, None
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            tokenizer_folder(), model_max_length=LENGTHS[-1]
        )
        return model, transformers.pipeline(task, model=network.model, tokenizer=tokenizer, device="cpu")

    return make


def shape(answer):
    """How docs/runtime.md writes an answer."""
    if isinstance(answer, dict):
        return "{" + ", ".join(answer) + "}"
    if isinstance(answer, list):
        return f"[{', '.join([*map(shape, answer[:1]), *(['…'] if len(answer) > 1 else [])])}]"
    return "array" if hasattr(answer, "shape") else type(answer).__name__


def assert_same(ours, theirs):
    """Equal nesting, keys in their order, values; numbers as near as two ways to run one network."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, list):
        assert isinstance(ours, list) and len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other)
    elif hasattr(theirs, "shape") and theirs.shape:
        assert isinstance(ours, np.ndarray) and ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    elif isinstance(theirs, float | np.floating):
        assert type(ours) is float and ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    else:
        assert (type(ours), ours) == (type(theirs), theirs)


@pytest.mark.parametrize(("task", "call", "described"), CALLS)
@pytest.mark.filterwarnings("ignore::bertmobile.TruncationWarning")
def test_a_call_is_answered_as_by_the_pipeline_and_as_described(both, task, call, described):
    model, pipeline = both(task)
    ours = eval(call, {"model": model})
    assert shape(ours) == described
    if pipeline is not None:
        assert_same(ours, eval(call, {"model": pipeline}))


@pytest.mark.parametrize("call", [call for task, call, _ in CALLS if task == "question-answering"])
def test_a_question_is_answered_as_by_the_pipeline_of_transformers_4(call):
    manifest = make_manifest("question-answering")
    model = Model(manifest, tokenization(manifest), HashEngine(manifest))
    assert_same(eval(call, {"model": model}), CLASSIC[call])


def test_the_calls_are_those_of_all_tasks():
    assert {task for task, *_ in CALLS} == {*MANIFESTS, *ALONE, "feature-extraction"}


@pytest.mark.parametrize("task", sorted({task for task, *_ in CALLS} - {"zero-shot-classification"}))
def test_an_empty_list_is_answered_with_one(both, task):
    assert both(task)[0]([]) == []
