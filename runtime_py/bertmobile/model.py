"""A bundle as a callable: verify it, open its engine and its task, and answer."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from bertmobile.bundle import check_verdict, verify_bundle
from bertmobile.engines import Engine, Tensors, open_engine
from bertmobile.errors import BertMobileError, UsageError
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

    def __init__(
        self, manifest: Manifest, tokenization: Tokenization, engine: Engine, **options: Any
    ) -> None:
        """Join the parts that :func:`load` opens; the model closes the engine.

        Raises:
            BundleError: the manifest's task is unknown.
            UsageError: an option that the task does not have.
        """
        self.manifest = manifest
        self._tokenization = tokenization
        self._engine: Engine | None = engine
        self._lock = Lock()
        self._task = open_task(Context(manifest, tokenization, self.run))
        self._task.defaults = self._task.checked(options)

    @property
    def engine(self) -> tuple[str, str]:
        """Name and version of what runs the bundle.

        Raises:
            UsageError: the model was closed.
        """
        if self._engine is None:
            raise UsageError("the model is closed; load it again")
        return self._engine.name, self._engine.version

    def __call__(self, inputs: object = None, *second: object, **options: Any) -> Any:
        """Answer one input, a list of them, or a generator of them, as transformers' pipeline does.

        Args:
            inputs: a string; a pair as a tuple; a dictionary with the task's fields (``text``, ``text_pair``,
                or ``question``, ``context``); or a list of these. One input may also be given as keywords:
                ``model(question=..., context=...)``.
            second: the context of a question, or the ``candidate_labels`` of a text.
            options: the task's options; see ``answer`` of its module in ``bertmobile.tasks``.

        Returns:
            What the pipeline of the task gives for this call; docs/runtime.md has the table.

        Raises:
            UsageError: an input or an option that the task does not take; a model that was closed.
        """
        if second:
            if self._task.second is None or len(second) > 1 or self._task.second in options:
                raise UsageError(f"{self.manifest.task} takes one input, or a list of them; name its options")
            options[self._task.second] = second[0]
        return self._task(inputs, **options)

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
    **options: Any,
) -> Model:
    """Open a bundle.

    Args:
        folder: the bundle.
        engine: name of an engine; by default the first that runs the bundle's target.
        threads: CPU threads of the engine.
        cache_dir: folder for the engine's caches; without it nothing is cached.
        verify: compare every file with the manifest (reads them once); the verdict counts either way.
        allow_unverified: accept a bundle whose parity verdict is ``pending`` or ``failed``.
        options: of the task, for every call that does not give them.

    Raises:
        BundleError: the bundle is damaged, unreadable or not verified.
        UsageError: no such engine, or one that cannot run this bundle; an option that the task does not have.
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
    try:
        return Model(manifest, tokenization, opened, **options)
    except BertMobileError:
        opened.close()
        raise
