"""Tasks turn text into an answer with one or more runs of a model; one module for each."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import GeneratorType
from typing import Any, ClassVar

from bertmobile.engines import Tensors
from bertmobile.errors import BundleError, UsageError
from bertmobile.manifest import Manifest
from bertmobile.tasks.inputs import Fields
from bertmobile.tokenization import Tokenization


@dataclass(frozen=True)
class Context:
    """What a task works with; ``run`` maps the model's inputs to its outputs, by name."""

    manifest: Manifest
    tokenization: Tokenization
    run: Callable[[Tensors], dict[str, Any]]


class Task:
    """One task of one model. Keeps no state between calls.

    A call gives what transformers' pipeline of the task gives for the same call.

    Attributes:
        name: the task's name in messages.
        fields: the texts of one input.
        second: what a second positional argument is, a field or an option.
        unwraps: whether a list of one input is answered like the input alone.
        answer: ``answer(first, second, *, options...)`` for one input; its keyword-only parameters are the
            task's options.
        defaults: options of every call that does not give them.
    """

    name: ClassVar[str]
    fields: ClassVar[Fields] = Fields()
    second: ClassVar[str | None] = None
    unwraps: ClassVar[bool] = False
    answer: Callable[..., Any]
    defaults: Mapping[str, Any] = {}

    @property
    def options(self) -> list[str]:
        """Names of the options that a call may give."""
        parameters = inspect.signature(self.answer).parameters.values()
        return [entry.name for entry in parameters if entry.kind is entry.KEYWORD_ONLY]

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options without those that only say how a pipeline is to run.

        Raises:
            UsageError: an option that the task does not have.
        """
        known = self.options
        kept = {name: value for name, value in options.items() if name not in _OF_A_RUN}
        unknown = [name for name in kept if name not in known]
        if unknown:
            raise UsageError(
                f"{self.name} has no option {', '.join(unknown)}; its options: {', '.join(known) or 'none'}"
            )
        return kept

    def __call__(self, inputs: object = None, **options: Any) -> Any:
        """Answer one input, a list of them, or a generator, which is read as its answers are.

        Raises:
            UsageError: an input or an option that the task does not take.
        """
        given = {name: options.pop(name) for name in self.fields.names if name in options}
        if given:
            inputs = given if inputs is None else {self.fields.first: inputs, **given}
        merged = {**self.defaults, **self.checked(options)}
        if isinstance(inputs, GeneratorType):
            return (self._one(item, merged) for item in inputs)
        if not isinstance(inputs, list):
            return self._one(inputs, merged)
        answers = [self._one(item, merged) for item in inputs]
        return answers[0] if self.unwraps and len(answers) == 1 else answers

    def _one(self, item: object, options: Mapping[str, Any]) -> Any:
        return self.answer(*self.fields.read(item), **options)


# A pipeline takes these with any call. They change no answer: here each text runs alone.
_OF_A_RUN = ("batch_size", "num_workers")


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
