"""A bundle as a callable: verify it, open its engine and its task, and answer."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from bertmobile.bundle import check_verdict, verify_bundle
from bertmobile.engines import Engine, Tensors, open_engine
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest, read_manifest
from bertmobile.tasks import Context, open_task
from bertmobile.tasks.feature_extraction import FeatureExtraction
from bertmobile.tasks.numeric import Floats
from bertmobile.tokenization import Encoded, Tokenization


class Model:
    """A task on an open engine. Safe to use from several threads, which take turns at the engine.

    Attributes:
        manifest: what the bundle says about itself.
    """

    def __init__(self, manifest: Manifest, tokenization: Tokenization, engine: Engine) -> None:
        """Join the parts that :func:`load` opens; the model closes the engine.

        Raises:
            BundleError: the manifest's task is unknown.
        """
        self.manifest = manifest
        self._tokenization = tokenization
        self._engine: Engine | None = engine
        self._lock = Lock()
        self._task = open_task(Context(manifest, tokenization, self.run))
        parameters = inspect.signature(self._task.answer).parameters.values()
        self._options = [entry.name for entry in parameters if entry.kind is entry.KEYWORD_ONLY]

    @property
    def engine(self) -> tuple[str, str]:
        """Name and version of what runs the bundle.

        Raises:
            UsageError: the model was closed.
        """
        if self._engine is None:
            raise UsageError("the model is closed; load it again")
        return self._engine.name, self._engine.version

    def __call__(self, inputs: object = None, /, **options: Any) -> Any:
        """Answer one input, or a list of them.

        Args:
            inputs: a string; a pair as a tuple; a dictionary with the task's fields (``text``, ``text_pair``,
                or ``question``, ``context``); or a list of these. One input may also be given as keywords:
                ``model(question=..., context=...)``.
            options: the task's options; see ``answer`` of its module in ``bertmobile.tasks``.

        Returns:
            The task's answer; for a list, a list of answers.

        Raises:
            UsageError: an input or an option that the task does not take; a model that was closed.
        """
        fields = self._task.fields.names
        if inputs is None and options.keys() & set(fields):
            inputs = {name: options.pop(name) for name in fields if name in options}
        unknown = [name for name in options if name not in self._options]
        if unknown:
            raise UsageError(
                f"{self.manifest.task} has no option {', '.join(unknown)}; "
                f"its options: {', '.join(self._options) or 'none'}"
            )
        if isinstance(inputs, list):
            return [self._answer(item, options) for item in inputs]
        return self._answer(inputs, options)

    def _answer(self, item: object, options: dict[str, Any]) -> Any:
        return self._task.answer(*self._task.fields.read(item), **options)

    def embed(
        self, texts: str | Sequence[str], *, prompt_name: str | None = None, prompt: str | None = None
    ) -> Floats:
        """One vector for each text, as sentence-transformers' ``encode`` makes it.

        Args:
            texts: texts; a single string counts as one.
            prompt_name: which of the prompts in the manifest's ``embedding`` to put before each text; by
                default its ``default_prompt``, where there is one.
            prompt: what to put before each text instead; an empty string for nothing.

        Returns:
            float32 [n, size], ``size`` being that of the manifest's ``embedding``.

        Raises:
            UsageError: the bundle is not for feature-extraction, a text is not a string, or the manifest has
                no such prompt.
        """
        if not isinstance(self._task, FeatureExtraction):
            raise UsageError(
                f"a {self.manifest.task} bundle has no text vectors; export one for feature-extraction"
            )
        texts = [texts] if isinstance(texts, str) else texts
        return self._task.embed(texts, prompt_name=prompt_name, prompt=prompt)

    def encode(self, text: str, pair: str | None = None, *, prompt: str = "") -> Encoded:
        """The tokens of a text or a pair, behind a prompt where one is given, as one run's inputs.

        Raises:
            UsageError: not a valid string.
        """
        return self._tokenization.encode(text, pair, prompt=prompt)

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Run the engine once on arrays.

        Args:
            inputs: the manifest's inputs by name, such as ``encode(text).inputs``; [1, bucket] integers.

        Returns:
            The manifest's outputs by name.

        Raises:
            UsageError: the model was closed.
        """
        with self._lock:
            if self._engine is None:
                raise UsageError("the model is closed; load it again")
            return self._engine.run(inputs)

    def close(self) -> None:
        """Release the engine; closing twice is fine."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def load(
    folder: str | Path,
    *,
    engine: str | None = None,
    threads: int = 1,
    cache_dir: str | Path | None = None,
    verify: bool = True,
    allow_unverified: bool = False,
) -> Model:
    """Open a bundle.

    Args:
        folder: the bundle.
        engine: name of an engine; by default the first that runs the bundle's target.
        threads: CPU threads of the engine.
        cache_dir: folder for the engine's caches; without it nothing is cached.
        verify: compare every file with the manifest (reads them once); the verdict counts either way.
        allow_unverified: accept a bundle whose parity verdict is ``pending`` or ``failed``.

    Raises:
        BundleError: the bundle is damaged, unreadable or not verified.
        UsageError: no such engine, or one that cannot run this bundle.
        MissingDependencyError: the engine's package is not installed.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if verify:
        verify_bundle(folder, manifest, allow_unverified=allow_unverified)
    else:
        check_verdict(manifest, allow_unverified=allow_unverified)
    # The tokenizer first: it is quick to fail, and an engine would have to be closed again.
    tokenization = Tokenization.open(folder, manifest)
    opened = open_engine(
        folder,
        manifest,
        engine=engine,
        threads=threads,
        cache_dir=None if cache_dir is None else Path(cache_dir),
    )
    return Model(manifest, tokenization, opened)
