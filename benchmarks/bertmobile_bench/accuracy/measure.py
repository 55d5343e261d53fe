"""One bundle against its reference on a file of texts."""

from collections.abc import Callable
from pathlib import Path

from bertmobile import load
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest, read_manifest
from bertmobile_bench.accuracy import fill_mask, text_classification
from bertmobile_bench.accuracy.data import read_data
from bertmobile_bench.accuracy.reference import Source
from bertmobile_bench.accuracy.score import Accuracy
from bertmobile_bench.accuracy.tokens import tokenize

TASKS = ("text-classification", "fill-mask")

Progress = Callable[[str, int, int], None]


def measure(
    bundle: Path,
    reference: str | Source,
    data: Path,
    *,
    revision: str | None = None,
    limit: int | None = None,
    masks_per_text: int | None = None,
    seed: int = 0,
    engine: str | None = None,
    allow_different: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Accuracy:
    """Score a bundle, run as an app runs it, and its source model in float32 on the same texts.

    Args:
        bundle: the folder, whatever the verdict of its parity check.
        reference: hub id or folder of the source model; or an open :class:`Source`, which answers each text
            once for all bundles that it is compared with.
        data: texts, with labels for text-classification; see :func:`read_data`.
        revision: of the reference on the hub.
        limit: score only so many texts, spread evenly over the file.
        masks_per_text: fill-mask: mask at most so many tokens of a text; None for all.
        seed: fill-mask: of the choice of these tokens.
        engine: by default the target's own.
        allow_different: accept a reference with other weights than the bundle's source.
        progress: called with the stage, and with the number of answers done and their total.

    Raises:
        UsageError: a task without a score here, data or a reference that do not fit the bundle.
        BundleError: the bundle is damaged or unreadable.
        CheckpointError: the reference cannot be used.
        ParityError: the two do not even agree on the tokens.
        MissingDependencyError: the bundle's engine is not installed.
    """
    manifest = read_manifest(bundle)
    _check_task(manifest)
    if masks_per_text is not None and manifest.task != "fill-mask":
        raise UsageError(
            f"{manifest.name} is for {manifest.task}, which has no masks; leave --masks-per-text out"
        )
    found = read_data(data, manifest.labels if manifest.task == "text-classification" else None, limit=limit)
    if manifest.task == "fill-mask" and len(found.examples) < 2:
        raise UsageError(f"{data}: an interval needs two texts or more; give more of them")
    progress("Loading the bundle", 0, 1)
    with load(bundle, engine=engine, allow_unverified=True) as model:
        progress("Loading the reference", 0, 1)
        if isinstance(reference, str):
            source = Source.open(reference, manifest.task, revision=revision)
        else:
            source = reference
        same = _check_source(manifest, source, allow_different)
        progress("Tokenizing", 0, 1)
        texts = tokenize(model, source, found.examples)

        def answered(done: int, total: int) -> None:
            progress("Asking both models", done, total)

        if manifest.task == "fill-mask":
            score = fill_mask.score(model, source, texts, answered, masks_per_text=masks_per_text, seed=seed)
        else:
            score = text_classification.score(model, source, texts, answered)
        name, version = model.engine
    return Accuracy(
        bundle=bundle.resolve().name,
        target=manifest.target,
        recipe=manifest.recipe["name"],
        engine=name,
        engine_version=version,
        verdict=manifest.verdict,
        reference=source.name,
        same_weights=same,
        task=manifest.task,
        data_sha256=found.sha256,
        lines=found.lines,
        texts=len(texts),
        truncated=sum(text.truncated for text in texts),
        score=score,
        masks_per_text=masks_per_text,
        seed=seed,
    )


def _check_task(manifest: Manifest) -> None:
    if manifest.task not in TASKS:
        raise UsageError(
            f"{manifest.name} is for {manifest.task}, which has no score here; "
            f"scored are {' and '.join(TASKS)}"
        )
    single = manifest.problem_type in (None, "single_label_classification") and len(manifest.labels) > 1
    if manifest.task == "text-classification" and not single:
        raise UsageError(
            f"{manifest.name} does not choose one label of several "
            f"({manifest.problem_type or 'one label'}), so that accuracy does not apply; "
            "compare it with bertmobile-parity"
        )


def _check_source(manifest: Manifest, source: Source, allow_different: bool) -> bool:
    """Whether the bundle was made from the reference."""
    if source.task != manifest.task:
        raise UsageError(f"{source.name} was opened for {source.task} and the bundle is for {manifest.task}")
    if manifest.task == "text-classification" and source.labels != manifest.labels:
        raise UsageError(
            f"{source.name} has the labels {', '.join(source.labels)} and the bundle "
            f"{', '.join(manifest.labels)}; give the model that it was made from"
        )
    same = source.weights_sha256 == manifest.source.weights_sha256
    if not same and not allow_different:
        raise UsageError(
            f"{source.name} has other weights than the source of {manifest.name} ({manifest.source.model}); "
            "give the model it was made from, or --allow-different"
        )
    return same
