"""Tasks turn text into an answer with one or more runs of a model; one module for each."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from bertmobile.engines import Tensors
from bertmobile.errors import BundleError
from bertmobile.manifest import Manifest
from bertmobile.tasks.inputs import Fields
from bertmobile.tokenization import Tokenization


@dataclass(frozen=True)
class Context:
    """What a task works with; ``run`` maps the model's inputs to its outputs, by name."""

    manifest: Manifest
    tokenization: Tokenization
    run: Callable[[Tensors], dict[str, Any]]


class Task(Protocol):
    """One task of one model. Keeps no state between calls."""

    fields: Fields

    @property
    def answer(self) -> Callable[..., Any]:
        """``answer(first, second, *, options...)``; its keyword-only parameters are the task's options."""
        ...


# task name -> (module, class); a module is imported when a bundle needs it
_TASKS = {
    "feature-extraction": ("bertmobile.tasks.feature_extraction", "FeatureExtraction"),
    "fill-mask": ("bertmobile.tasks.fill_mask", "FillMask"),
    "next-sentence": ("bertmobile.tasks.next_sentence", "NextSentence"),
    "question-answering": ("bertmobile.tasks.question_answering", "QuestionAnswering"),
    "text-classification": ("bertmobile.tasks.text_classification", "TextClassification"),
    "token-classification": ("bertmobile.tasks.token_classification", "TokenClassification"),
}


def open_task(context: Context) -> Task:
    """The task of a bundle.

    Raises:
        BundleError: a task that this version does not know.
    """
    name = context.manifest.task
    if name not in _TASKS:
        raise BundleError(f"unknown task {name}; known: {', '.join(_TASKS)}; install a newer bertmobile")
    module, kind = _TASKS[name]
    task: Task = getattr(import_module(module), kind)(context)
    return task
