"""One bundle against its reference on a file of texts."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bertmobile import load
from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest, read_manifest
from bertmobile.tokenization import Tokenization
from bertmobile_bench.accuracy import (
    feature_extraction,
    fill_mask,
    next_sentence,
    question_answering,
    text_classification,
    token_classification,
)
from bertmobile_bench.accuracy.both import Both
from bertmobile_bench.accuracy.reference import Source
from bertmobile_bench.accuracy.score import Accuracy
from bertmobile_bench.accuracy.task import Task

_TASKS: dict[str, Task] = {
    "text-classification": text_classification,
    "token-classification": token_classification,
    "question-answering": question_answering,
    "next-sentence": next_sentence,
    "feature-extraction": feature_extraction,
    "fill-mask": fill_mask,
}

Progress = Callable[[str, int, int], None]


def measure(
    bundle: Path,
    reference: str | Source,
    data: Path,
    *,
    revision: str | None = None,
    measures: Sequence[str] = (),
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
        data: texts, with what the task needs to be told about them; see the modules of
            ``bertmobile_bench.accuracy.data``.
        revision: of the reference on the hub.
        measures: names of those wanted; by default all that apply to the bundle.
        limit: score only so many of them, spread evenly over the file.
        masks_per_text: fill-mask: mask at most so many tokens of a text; None for all.
        seed: fill-mask: of the choice of these tokens.
        engine: by default the target's own.
        allow_different: accept a reference with other weights than the bundle's source.
        progress: called with the stage, and with the number of answers done and their total.

    Raises:
        UsageError: a measure, data or a reference that do not fit the bundle.
        BundleError: the bundle is damaged or unreadable.
        CheckpointError: the reference cannot be used.
        ParityError: the two do not even agree on the tokens.
        MissingDependencyError: the bundle's engine is not installed.
    """
    manifest = read_manifest(bundle)
    task = _TASKS[manifest.task]
    chosen = _chosen(manifest, task, measures)
    score = task.score
    if manifest.task == "fill-mask":
        score = partial(fill_mask.score, masks_per_text=masks_per_text, seed=seed)
    elif masks_per_text is not None:
        raise UsageError(
            f"{manifest.name} is for {manifest.task}, which has no masks; leave --masks-per-text out"
        )
    found = task.read(data, manifest, limit)
    if len(found.examples) < 2:
        raise UsageError(f"{data}: an interval needs two examples or more; give more of them")
    progress("Loading the bundle", 0, 1)
    with load(bundle, engine=engine, allow_unverified=True) as model:
        progress("Loading the reference", 0, 1)
        if isinstance(reference, str):
            source = Source.open(reference, manifest.task, revision=revision)
        else:
            source = reference
        same = _check_source(manifest, source, allow_different)
        progress("Tokenizing", 0, 1)
        asking = partial(progress, "Asking both models")
        both = Both(model, source, Tokenization.open(bundle, manifest), asking)
        findings = score(both, found.examples, chosen)
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
        texts=len(found.examples),
        truncated=findings.cut,
        scores=findings.scores,
        masks_per_text=masks_per_text,
        seed=seed,
    )


def _chosen(manifest: Manifest, task: Task, wanted: Sequence[str]) -> tuple[str, ...]:
    """The measures to take, each once."""
    known = task.measures(manifest)
    for name in wanted:
        if name not in known:
            raise UsageError(f"{manifest.name} has no measure {name}; it has {', '.join(known)}")
    return tuple(dict.fromkeys(wanted)) or known


def _check_source(manifest: Manifest, source: Source, allow_different: bool) -> bool:
    """Whether the bundle was made from the reference."""
    if source.task != manifest.task:
        raise UsageError(f"{source.name} was opened for {source.task} and the bundle is for {manifest.task}")
    if manifest.labels and source.labels != manifest.labels:
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
