"""The straight road: checkpoint, network, target, bundle, parity, verdict."""

import contextlib
import ctypes
import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertmobile.errors import ParityError, UsageError
from bertmobile.manifest import Verdict
from bertmobile_export.checkpoint.config import ModelConfig, read_config, resolve_task
from bertmobile_export.checkpoint.source import locate
from bertmobile_export.plan import Plan, check_lengths, default_lengths
from bertmobile_export.recipes import Recipe
from bertmobile_export.targets import Target, get_target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bertmobile_export.checkpoint import Checkpoint
    from bertmobile_export.network import Network
    from bertmobile_export.texts import TextSet

# Called with what is being done, how much of it is done and how much there is.
Progress = Callable[[str, int, int], None]


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
    calibration: Path | None = None
    output: Path = Path("artifacts")
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


def make_plan(request: Request, model: str, config: ModelConfig) -> tuple[Plan, Target]:
    """What ``request`` means for a model; read from its config alone.

    Raises:
        UsageError: the target, the recipe or a length cannot be had, or an option means nothing here.
        CheckpointError: the architecture has no task that we export.
    """
    target = get_target(request.target)
    lengths = default_lengths(config) if request.lengths is None else check_lengths(request.lengths, config)
    plan = Plan(
        model=model,
        config=config,
        task=resolve_task(config, request.task),
        recipe=request.recipe,
        target=target.name,
        lengths=lengths,
        full_logits=request.full_logits,
    )
    target.check(plan)
    if request.calibration and not plan.recipe.needs_calibration:
        raise UsageError(
            f"recipe {plan.recipe.name} calibrates nothing; leave --calibration out, or choose int8-static"
        )
    return plan, target


def plan_export(request: Request) -> tuple[Plan, int]:
    """A dry run: the plan and the predicted bytes of its model file. Fetches only the config."""
    location = locate(request.model, revision=request.revision, weights=False)
    plan, target = make_plan(request, location.model, read_config(location.folder))
    return plan, target.predict_bytes(plan)


def export(request: Request, progress: Progress = lambda stage, done, total: None) -> Result:
    """Make a bundle.

    A bundle that fails its parity is kept under ``<name>.failed``, and the result says why; nothing is left
    behind by any other error.

    Raises:
        BertMobileError: of the kind that fits; see :mod:`bertmobile.errors`.
    """
    started = time.perf_counter()
    progress("Reading the checkpoint", 0, 1)
    location = locate(request.model, revision=request.revision, weights=False)
    early, _ = make_plan(request, location.model, read_config(location.folder))

    from tokenizers import Tokenizer

    from bertmobile_export import bundle as bundles
    from bertmobile_export.checkpoint import load_checkpoint
    from bertmobile_export.texts import builtin_texts, texts_from_file

    path = bundles.bundle_path(request.output, early, overwrite=request.overwrite)
    checkpoint = load_checkpoint(request.model, task=request.task, revision=request.revision)
    if request.untrained:
        checkpoint = replace(checkpoint, trained=False)
    plan, target = make_plan(request, checkpoint.location.model, checkpoint.config)
    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)
    mask = checkpoint.tokenizer.spec.special_tokens["mask"].token

    def texts(corpus: Any) -> Any:
        return builtin_texts(
            corpus, plan.task, tokenizer, plan.lengths, mask_token=mask, mask_slots=plan.mask_slots
        )

    calibration = None
    if request.calibration:
        calibration = texts_from_file(
            request.calibration, plan.task, mask_token=mask, mask_slots=plan.mask_slots
        )
    elif plan.recipe.needs_calibration:
        calibration = texts("calibration")
    with bundles.staging(path) as folder:
        progress("Converting", 0, 1)
        network, samples = prepare(plan, checkpoint, calibration)
        target.write(plan, network, samples, folder / target.model_file)
        del network
        manifest = bundles.draft_manifest(plan, checkpoint, target)
        bundles.write_source_files(folder, checkpoint, manifest)
        source_folder, source_bytes = checkpoint.location.folder, _parameter_bytes(checkpoint.network_state)
        del checkpoint
        _release_memory()
        manifest = bundles.write_manifest(folder, manifest)
        report = _verify(folder, plan, source_folder, texts("parity"), progress)
        verdict: Verdict = "passed" if report.passed else "failed"
        bundles.write_manifest(folder, replace(manifest, verdict=verdict))
        size = manifest.files[manifest.model_file].bytes
        if not report.passed:
            path = path.with_name(path.name + bundles.FAILED_SUFFIX)
        bundles.install(folder, path)
    seconds = time.perf_counter() - started
    return Result(path, plan, size, source_bytes, seconds, report.document, report.failures)


def prepare(
    plan: Plan, checkpoint: "Checkpoint", calibration: "TextSet | None"
) -> "tuple[Network, list[dict[str, NDArray[np.int64]]]]":
    """The network as the recipe wants it, and its calibration inputs.

    Args:
        plan: what to make.
        checkpoint: the source model.
        calibration: texts; may be None, and is not read, for recipes that calibrate nothing.

    Returns:
        The network in float32, and the texts as its inputs (an empty list where nothing is calibrated).
    """
    from tokenizers import Tokenizer

    from bertmobile_export.calibration import calibration_inputs
    from bertmobile_export.network import build_network
    from bertmobile_export.network.equalisation import equalise

    network = build_network(plan.config, plan.task, checkpoint.network_state, full_logits=plan.full_logits)
    if calibration is None or not plan.recipe.needs_calibration:
        return network, []
    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)
    samples = list(calibration_inputs(plan, checkpoint.tokenizer.spec, tokenizer, calibration))
    equalise(network, samples)
    return network, samples


def _release_memory() -> None:
    """Give back what the conversion used: glibc keeps freed memory unless asked."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such call
        ctypes.CDLL(None).malloc_trim(0)


def _parameter_bytes(state: Any) -> int:
    """Bytes of the float32 parameters, a tied table counted once."""
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in state.values()}.values())


def _verify(folder: Path, plan: Plan, source: Path, texts: Any, progress: Progress) -> Any:
    """Compare the bundle with its source, and write both reports into it."""
    from bertmobile import load
    from bertmobile_export.bundle import write_json
    from bertmobile_export.parity.compare import compare
    from bertmobile_export.parity.golden import CASES, golden_document
    from bertmobile_export.parity.reference import load_reference
    from bertmobile_export.parity.report import make_report

    progress("Loading the reference", 0, 1)
    reference = load_reference(source, plan.config, plan.task)
    # The cache spares the engine a packed copy of the weights for each bucket.
    with (
        tempfile.TemporaryDirectory() as cache,
        load(folder, cache_dir=cache, verify=False, allow_unverified=True) as model,
    ):
        comparison = compare(
            model,
            reference,
            texts,
            keep_per_bucket=-(-CASES // len(plan.lengths)),
            progress=lambda done, total: progress("Comparing with the reference", done, total),
        )
        report = make_report(model, plan.recipe, comparison)
    write_json(folder / "parity.json", report.document)
    write_json(folder / "golden.json", golden_document(comparison.kept, report))
    return report


def raise_for_parity(result: Result) -> None:
    """Turn a failed verdict into the error that ends a command.

    Raises:
        ParityError: the verdict is ``failed``.
    """
    if result.failures:
        raise ParityError(
            f"{result.plan.bundle_name} is too far from its source: {'; '.join(result.failures)}; "
            f"kept as {result.bundle}; choose a finer recipe, or find the layer with "
            "bertmobile-parity --bisect"
        )
