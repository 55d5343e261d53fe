"""The straight road: checkpoint, network, target, bundle, parity, verdict."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertmobile.errors import BertMobileError, ParityError, UsageError
from bertmobile.manifest import Verdict
from bertmobile_export.budget.fit import check_limit, fit_loss, limit, narrowed
from bertmobile_export.checkpoint.config import ModelConfig, read_config, resolve_task
from bertmobile_export.checkpoint.source import locate
from bertmobile_export.memory import release_memory
from bertmobile_export.model_file import Progress, calibrates, survey_formats, write_model
from bertmobile_export.plan import NEWEST_IOS, Plan, check_lengths, default_lengths
from bertmobile_export.recipes import Recipe
from bertmobile_export.sizes import matrices, with_whole_blocks
from bertmobile_export.targets import Target, get_target

if TYPE_CHECKING:
    from bertmobile.manifest import Manifest
    from bertmobile_export.android import Assets, Placed
    from bertmobile_export.budget.survey import Survey
    from bertmobile_export.checkpoint import Checkpoint
    from bertmobile_export.parity.agreement import Agreement
    from bertmobile_export.parity.compare import Comparison
    from bertmobile_export.parity.reference import Reference
    from bertmobile_export.parity.report import Report
    from bertmobile_export.texts import Corpus, TextSet

# Options of a request that only some targets take.
OPTIONS = ("mediapipe", "portable", "ort", "ios", "android")
# Files that are tried for a wanted cosine, and what of the allowed loss the next one uses.
ATTEMPTS = 6
CAUTION = 0.95


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
    target.check(narrowed(plan, target))
    check_limit(plan, target)
    return plan, target


def plan_export(request: Request) -> tuple[Plan, int]:
    """A dry run: the plan and the predicted bytes of its model file. Fetches only the config."""
    location = locate(request.model, revision=request.revision, weights=False)
    plan, target = make_plan(request, location.model, read_config(location.folder))
    if plan.recipe.budget is not None and plan.recipe.budget.min_cosine:
        raise UsageError(
            "the size of the smallest file that keeps a cosine is not known before it is made; "
            "leave --dry-run or --min-parity out"
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
        drafts = []
        for each, path in zip(requests, paths, strict=True):
            folder = stack.enter_context(bundles.staging(path))
            progress(f"Converting to {each.target}", 0, 1)
            drafts.append(_convert(each, checkpoint, folder, bundles.unfinished(path), progress))
        folder, config, task = checkpoint.location.folder, checkpoint.config, checkpoint.task
        del checkpoint
        release_memory()
        progress("Loading the reference", 0, 1)
        reference = load_reference(folder, config, task)
        results = []
        for draft, path in zip(drafts, paths, strict=True):
            started = time.perf_counter()
            report = _verify(draft, reference, progress)
            results.append(
                Result(
                    bundle=path if report.passed else path.with_name(path.name + bundles.FAILED_SUFFIX),
                    plan=draft.plan,
                    bytes=draft.manifest.model_bytes,
                    source_bytes=source_bytes,
                    seconds=draft.seconds + time.perf_counter() - started,
                    parity=report.document,
                    failures=report.failures,
                    survey=draft.survey,
                )
            )
        agreed = _agree(drafts, progress) if len(drafts) > 1 else None
        for draft, result in zip(drafts, results, strict=True):
            bundles.install(draft.folder, result.bundle)
        if request.recipe.effort == "high":
            for path in paths:
                shutil.rmtree(bundles.unfinished(path), ignore_errors=True)
    return [_placed(*each) for each in zip(results, drafts, places, strict=True)], agreed


def _placed(result: Result, draft: "_Draft", place: "tuple[Assets, Path] | None") -> Result:
    """The result with its copy in an Android project, if it passed and there is one to be made."""
    if place is None or result.failures:
        return result
    assets, path = place
    try:
        return replace(result, placed=assets.place(result.bundle, draft.manifest, path))
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
class _Draft:
    """A bundle in its temporary folder, whose parity is not known yet."""

    folder: Path
    plan: Plan
    manifest: "Manifest"
    texts: "TextSet"
    """What its parity is measured on."""
    inspected: Mapping[str, Any]
    """What the report says beside its answers."""
    seconds: float
    survey: "Survey | None"
    """Of a recipe with a budget."""


def _convert(
    request: Request, checkpoint: "Checkpoint", folder: Path, kept: Path, progress: Progress
) -> _Draft:
    from tokenizers import Tokenizer

    from bertmobile_export import bundle as bundles
    from bertmobile_export.texts import builtin_texts, texts_from_file

    started = time.perf_counter()
    plan, target = make_plan(request, checkpoint.location.model, checkpoint.config)
    plan = replace(plan, notes=(*plan.notes, *checkpoint.tokenizer.notes))
    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)
    mask = checkpoint.tokenizer.spec.special_tokens["mask"].token

    def texts(corpus: "Corpus") -> "TextSet":
        return builtin_texts(
            corpus, plan.task, tokenizer, plan.lengths, mask_token=mask, mask_slots=plan.mask_slots
        )

    calibration = None
    if calibrates(plan, target):
        calibration = (
            texts_from_file(request.calibration, plan.task, mask_token=mask, mask_slots=plan.mask_slots)
            if request.calibration
            else texts("calibration")
        )
    budget = plan.recipe.budget

    def finished(chosen: Plan, found: "Survey | None") -> _Draft:
        manifest = bundles.draft_manifest(chosen, checkpoint, target)
        bundles.write_source_files(folder, checkpoint, manifest)
        manifest = bundles.write_manifest(folder, manifest)
        inspected = target.inspect(chosen, folder / manifest.model_file)
        seconds = time.perf_counter() - started
        return _Draft(folder, chosen, manifest, texts("parity"), inspected, seconds, found)

    if budget is None or budget.min_cosine is None:
        return finished(*write_model(plan, target, checkpoint, calibration, folder, kept, progress))
    return _smallest(plan, target, checkpoint, calibration, folder, kept, progress, finished)


def _smallest(
    plan: Plan,
    target: Target,
    checkpoint: "Checkpoint",
    calibration: "TextSet | None",
    folder: Path,
    kept: Path,
    progress: Progress,
    finished: "Callable[[Plan, Survey], _Draft]",
) -> _Draft:
    """The bundle of the smallest file that keeps the cosine that its recipe's budget wants.

    What formats lose together, and what quantized activations add, is known only of a written file: when one
    falls short, the next is allowed to lose as much less as this one lost too much.
    """
    from bertmobile_export import bundle as bundles
    from bertmobile_export.parity.reference import load_reference

    assert plan.recipe.budget is not None and plan.recipe.budget.min_cosine is not None
    wanted = 1 - plan.recipe.budget.min_cosine
    reference = load_reference(checkpoint.location.folder, checkpoint.config, checkpoint.task)
    found = survey_formats(plan, target, checkpoint, calibration, progress)
    allowed = 2 * wanted
    for _ in range(ATTEMPTS):
        chosen = fit_loss(plan, found, allowed)
        write_model(chosen, target, checkpoint, calibration, folder, kept, progress)
        draft = finished(chosen, found)
        lost = 1 - (_judge(draft, reference, progress)[0].worst("cosine_mean") or 0.0)
        if lost <= wanted:
            return draft
        bundles.remove(folder / target.model_file(chosen))
        allowed *= wanted / lost * CAUTION
    raise UsageError(
        f"no formats were found in {ATTEMPTS} attempts that keep a mean cosine of {1 - wanted:g} of "
        f"{plan.model} for {target.name}; give a smaller --min-parity, or --int8"
    )


def _parameter_bytes(state: Any) -> int:
    """Bytes of the float32 parameters, a tied table counted once."""
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in state.values()}.values())


def _judge(draft: _Draft, reference: "Reference", progress: Progress) -> "tuple[Report, Comparison]":
    """Compare a bundle with its source."""
    from bertmobile_export.parity.golden import CASES
    from bertmobile_export.parity.judge import judge

    # The cache spares the engine a packed copy of the weights for each bucket.
    with tempfile.TemporaryDirectory() as cache:
        return judge(
            draft.folder,
            reference,
            draft.texts,
            draft.plan.recipe,
            cache_dir=Path(cache),
            keep_per_bucket=-(-CASES // len(draft.plan.lengths)),
            inspected=draft.inspected,
            progress=lambda done, total: progress(f"Checking {draft.plan.target}", done, total),
        )


def _verify(draft: _Draft, reference: "Reference", progress: Progress) -> "Report":
    """Compare a bundle with its source, write both reports into it, and its verdict into the manifest."""
    from bertmobile_export import bundle as bundles
    from bertmobile_export.parity.golden import golden_document

    report, comparison = _judge(draft, reference, progress)
    bundles.write_json(draft.folder / "parity.json", report.document)
    bundles.write_json(draft.folder / "golden.json", golden_document(comparison.kept, report))
    verdict: Verdict = "passed" if report.passed else "failed"
    bundles.write_manifest(draft.folder, replace(draft.manifest, verdict=verdict))
    return report


def _agree(drafts: Sequence[_Draft], progress: Progress) -> "Agreement":
    """Compare bundles with each other, on texts that none of them cuts."""
    from bertmobile_export.parity.agreement import agreement

    shortest = min(drafts, key=lambda draft: draft.plan.lengths[-1])
    return agreement(
        {draft.plan.target: draft.folder for draft in drafts},
        shortest.texts,
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
