"""The straight road: checkpoint, network, target, bundle, parity, verdict."""

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertmobile.errors import BertMobileError, ParityError, UsageError
from bertmobile_export.budget.bounds import bound_of, kept_cosine
from bertmobile_export.budget.fit import check_limit, limit, narrowed
from bertmobile_export.checkpoint.config import ModelConfig, read_config, resolve_task
from bertmobile_export.checkpoint.source import locate
from bertmobile_export.draft import Draft, ParityTexts, verify_draft, write_draft
from bertmobile_export.memory import release_memory
from bertmobile_export.model_file import Progress, calibrates, write_model
from bertmobile_export.plan import NEWEST_IOS, Plan, check_lengths, default_lengths
from bertmobile_export.recipes import Recipe
from bertmobile_export.sizes import matrices, with_whole_blocks
from bertmobile_export.smallest import write_smallest
from bertmobile_export.targets import Target, get_target

if TYPE_CHECKING:
    from bertmobile_export.android import Assets, Placed
    from bertmobile_export.budget.survey import Survey
    from bertmobile_export.checkpoint import Checkpoint
    from bertmobile_export.draft import Compared
    from bertmobile_export.parity.agreement import Agreement
    from bertmobile_export.parity.reference import Reference
    from bertmobile_export.texts import Corpus, TextSet

# Options of a request that only some targets take.
OPTIONS = ("mediapipe", "portable", "ort", "ios", "android")


@dataclass(frozen=True)
class Request:
    """What the user asked for; see the options of ``bertmobile-export``."""

    model: str
    target: str
    recipe: Recipe
    task: str | None = None
    revision: str | None = None
    lengths: tuple[int, ...] | None = None
    full_logits: bool = False
    mediapipe: bool = False
    portable: bool = False
    ort: bool = False
    ios: int | None = None
    calibration: Path | None = None
    texts: Path | None = None
    output: Path = Path("artifacts")
    android: Path | None = None
    overwrite: bool = False
    untrained: bool = False


@dataclass(frozen=True)
class Result:
    """A bundle and its verdict."""

    bundle: Path
    plan: Plan
    bytes: int
    source_bytes: int
    seconds: float
    parity: dict[str, Any]
    failures: tuple[str, ...]
    survey: "Survey | None"
    """What the formats of a budget were chosen from."""
    placed: "Placed | None" = None
    """Of a bundle that passed, where the request names a project."""


def make_plan(request: Request, model: str, config: ModelConfig) -> tuple[Plan, Target]:
    """What ``request`` means for a model; read from its config alone.

    Raises:
        UsageError: the target, the recipe or a length cannot be had, or an option means nothing here.
        CheckpointError: the architecture has no task that we export.
    """
    target = get_target(request.target)
    for name in OPTIONS:
        if getattr(request, name) and name not in target.options:
            raise UsageError(f"--{name} means nothing for --target {target.name}; leave it out")
    plan = Plan(
        model=model,
        config=config,
        task=resolve_task(config, request.task),
        recipe=request.recipe,
        target=target.name,
        lengths=(),
        full_logits=request.full_logits,
        mediapipe=request.mediapipe,
        portable=request.portable,
        ort=request.ort,
        ios=(request.ios or NEWEST_IOS) if "ios" in target.options else None,
    )
    lengths = request.lengths or default_lengths(config, single=plan.single_length)
    plan = replace(plan, lengths=check_lengths(lengths, config))
    known = {name for name, _, _ in matrices(plan)}
    if unknown := sorted(plan.recipe.modules.keys() - known):
        raise UsageError(
            f"recipe {plan.recipe.name} names {', '.join(unknown)}, which this model does not have; "
            f"its matrices are called {', '.join(sorted(known)[:3])}, ..."
        )
    if target.whole_blocks and plan.recipe.budget is None:
        plan = with_whole_blocks(plan)
    budget = plan.recipe.budget
    if budget is not None and budget.max_flips is not None and not plan.decides:
        raise UsageError(
            f"{plan.model} answers {plan.task} with numbers or with words of its whole vocabulary, not with "
            "labels that could change; give --min-parity in the stead of --max-flips"
        )
    target.check(narrowed(plan, target))
    check_limit(plan, target)
    return plan, target


def plan_export(request: Request) -> tuple[Plan, int]:
    """A dry run: the plan and the predicted bytes of its model file. Fetches only the config."""
    location = locate(request.model, revision=request.revision, weights=False)
    plan, target = make_plan(request, location.model, read_config(location.folder))
    if bound := bound_of(plan.recipe):
        raise UsageError(
            f"the size of the smallest file that keeps {bound} is not known before it is made; "
            f"leave --dry-run or {bound.option} out"
        )
    return plan, limit(plan) or target.predict_bytes(plan)


def export(request: Request, progress: Progress = lambda stage, done, total: None) -> Result:
    """Make a bundle; see :func:`export_all`."""
    results, _ = export_all([request], progress)
    return results[0]


def export_all(
    requests: Sequence[Request], progress: Progress = lambda stage, done, total: None
) -> "tuple[list[Result], Agreement | None]":
    """Make bundles of one checkpoint for one or more targets.

    A bundle that fails its parity is kept under ``<name>.failed``, and the result says why; nothing is left
    behind by any other error, but what a rounding of high effort has finished: the same export goes on there.

    Args:
        requests: alike but for their targets and what only some targets take.
        progress: called now and then.

    Returns:
        One result for each request, and how far the bundles agree with each other where there are several.

    Raises:
        BertMobileError: of the kind that fits; see :mod:`bertmobile.errors`.
    """
    from bertmobile_export import bundle as bundles

    request = requests[0]
    progress("Reading the checkpoint", 0, 1)
    location = locate(request.model, revision=request.revision, weights=False)
    early = [make_plan(each, location.model, read_config(location.folder)) for each in requests]
    if request.calibration and not any(calibrates(plan, target) for plan, target in early):
        raise UsageError(
            f"recipe {request.recipe.name} calibrates nothing for {' or '.join(t.name for _, t in early)}; "
            "leave --calibration out, or choose int8-static"
        )
    paths = [bundles.bundle_path(request.output, plan, overwrite=request.overwrite) for plan, _ in early]
    places = [_place(each, plan) for each, (plan, _) in zip(requests, early, strict=True)]

    from bertmobile_export.checkpoint import load_checkpoint
    from bertmobile_export.parity.reference import load_reference

    checkpoint = load_checkpoint(request.model, task=request.task, revision=request.revision)
    if request.untrained:
        checkpoint = replace(checkpoint, trained=False)
    source_bytes = _parameter_bytes(checkpoint.network_state)
    with contextlib.ExitStack() as stack:
        folder, config, task = checkpoint.location.folder, checkpoint.config, checkpoint.task

        @cache
        def reference() -> "Reference":
            progress("Loading the reference", 0, 1)
            return load_reference(folder, config, task)

        made = []
        for each, path in zip(requests, paths, strict=True):
            staged = stack.enter_context(bundles.staging(path))
            progress(f"Converting to {each.target}", 0, 1)
            made.append(_make(each, checkpoint, reference, staged, bundles.unfinished(path), progress))
        del checkpoint
        release_memory()
        results = [
            _judged(each, path, reference(), source_bytes, progress)
            for each, path in zip(made, paths, strict=True)
        ]
        agreed = _agree(made, progress) if len(made) > 1 else None
        for finished, result in zip(made, results, strict=True):
            bundles.install(finished.draft.folder, result.bundle)
        if request.recipe.effort == "high":
            for path in paths:
                shutil.rmtree(bundles.unfinished(path), ignore_errors=True)
    return [_placed(*each) for each in zip(results, made, places, strict=True)], agreed


def _judged(
    made: "_Made", path: Path, reference: "Reference", source_bytes: int, progress: Progress
) -> Result:
    """The verdict on a bundle that is to be at ``path``."""
    from bertmobile_export import bundle as bundles

    started = time.perf_counter()
    draft, survey = made.draft, made.survey
    report = verify_draft(draft, reference, made.texts, progress, made.compared)
    return Result(
        bundle=path if report.passed else path.with_name(path.name + bundles.FAILED_SUFFIX),
        plan=draft.plan,
        bytes=draft.manifest.model_bytes,
        source_bytes=source_bytes,
        seconds=made.seconds + time.perf_counter() - started,
        parity=report.document,
        failures=report.failures,
        survey=survey and survey.measured(draft.plan.recipe, kept_cosine(report.document)),
    )


def _placed(result: Result, made: "_Made", place: "tuple[Assets, Path] | None") -> Result:
    """The result with its copy in an Android project, if it passed and there is one to be made."""
    if place is None or result.failures:
        return result
    assets, path = place
    try:
        return replace(result, placed=assets.place(result.bundle, made.draft.manifest, path))
    except OSError as failure:
        raise BertMobileError(
            f"{result.bundle} is finished, but cannot be copied to {path}: {failure.strerror}; "
            "make room there, and copy it by hand"
        ) from failure


def _place(request: Request, plan: Plan) -> "tuple[Assets, Path] | None":
    """Where a copy goes in an Android project."""
    if request.android is None:
        return None
    from bertmobile_export.android import Assets

    assets = Assets.find(request.android)
    return assets, assets.place_of(plan.bundle_name, overwrite=request.overwrite)


@dataclass(frozen=True)
class _Made:
    """A bundle in its temporary folder, and what its verdict needs.

    Attributes:
        draft: the bundle.
        texts: what it is compared on.
        seconds: that it took.
        survey: of a recipe with a budget.
        compared: with its source, where that was part of making it.
    """

    draft: Draft
    texts: ParityTexts
    seconds: float
    survey: "Survey | None"
    compared: "Compared | None" = None


def _make(
    request: Request,
    checkpoint: "Checkpoint",
    reference: "Callable[[], Reference]",
    folder: Path,
    kept: Path,
    progress: Progress,
) -> _Made:
    from tokenizers import Tokenizer

    from bertmobile_export.texts import builtin_texts, parity_total, texts_from_file

    started = time.perf_counter()
    plan, target = make_plan(request, checkpoint.location.model, checkpoint.config)
    plan = replace(plan, notes=(*plan.notes, *checkpoint.tokenizer.notes))
    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)
    mask = checkpoint.tokenizer.spec.special_tokens["mask"].token

    def texts(corpus: "Corpus", file: Path | None) -> "TextSet":
        if file:
            return texts_from_file(file, plan.task, mask_token=mask, mask_slots=plan.mask_slots)
        return builtin_texts(
            corpus,
            plan.task,
            tokenizer,
            plan.lengths,
            mask_token=mask,
            mask_slots=plan.mask_slots,
            total=parity_total(plan.recipe) if corpus == "parity" else None,
        )

    calibration = texts("calibration", request.calibration) if calibrates(plan, target) else None
    stored = texts("parity", None)
    parity = ParityTexts(texts("parity", request.texts) if request.texts else stored, stored)
    if bound_of(plan.recipe) is None:
        plan, survey = write_model(plan, target, checkpoint, calibration, folder, kept, progress)
        draft = write_draft(folder, plan, target, checkpoint)
        return _Made(draft, parity, time.perf_counter() - started, survey)
    found = write_smallest(
        plan, target, checkpoint, calibration, parity.compared, reference(), folder, kept, progress
    )
    return _Made(found.draft, parity, time.perf_counter() - started, found.survey, found.compared)


def _parameter_bytes(state: Any) -> int:
    """Bytes of the float32 parameters, a tied table counted once."""
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in state.values()}.values())


def _agree(made: Sequence[_Made], progress: Progress) -> "Agreement":
    """Compare bundles with each other, on texts that none of them cuts."""
    from bertmobile_export.parity.agreement import agreement

    shortest = min(made, key=lambda each: each.draft.plan.lengths[-1])
    return agreement(
        {each.draft.plan.target: each.draft.folder for each in made},
        shortest.texts.compared,
        lambda done, total: progress("Comparing the targets", done, total),
    )


def raise_for_parity(results: Sequence[Result]) -> None:
    """Turn failed verdicts into the error that ends a command.

    Raises:
        ParityError: a verdict is ``failed``.
    """
    failed = [
        f"{result.plan.bundle_name} is too far from its source: {'; '.join(result.failures)}; "
        f"kept as {result.bundle}"
        for result in results
        if result.failures
    ]
    if failed:
        raise ParityError(
            f"{'; '.join(failed)}; choose a finer recipe, or find the layer with bertmobile-parity --bisect"
        )
