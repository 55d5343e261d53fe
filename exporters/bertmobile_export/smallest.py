"""The smallest bundle that keeps a bound which only a written file is known to keep."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bertmobile.errors import UsageError
from bertmobile_export.budget.bounds import bound_of
from bertmobile_export.budget.fit import fit_loss
from bertmobile_export.budget.search import Trial, next_loss
from bertmobile_export.draft import Draft, compare_draft, write_draft
from bertmobile_export.model_file import Progress, prepare, survey_formats, write_file
from bertmobile_export.plan import Plan
from bertmobile_export.targets import Target

if TYPE_CHECKING:
    from bertmobile_export.budget.survey import Survey
    from bertmobile_export.checkpoint import Checkpoint
    from bertmobile_export.draft import Compared
    from bertmobile_export.parity.reference import Reference
    from bertmobile_export.texts import TextSet

# Files that are written at most; and of the bytes of the best one, what another must spare to be written.
ATTEMPTS = 6
STEP = 0.01
# A loss that stands for none: the search goes by proportions.
LEAST = 1e-12


@dataclass(frozen=True)
class Smallest:
    """The best of the files that were tried.

    Attributes:
        draft: the bundle.
        survey: what its formats were chosen from.
        compared: with its source.
    """

    draft: Draft
    survey: "Survey"
    compared: "Compared"


def write_smallest(
    plan: Plan,
    target: Target,
    checkpoint: "Checkpoint",
    calibration: "TextSet | None",
    texts: "TextSet",
    reference: "Reference",
    folder: Path,
    kept: Path,
    progress: Progress,
) -> Smallest:
    """Write the smallest bundle that passes its parity and keeps its recipe's bound.

    What formats lose together, and what quantized activations add, is known only of a written file: each one
    says how much the next may lose, until another would hardly be smaller.

    Args:
        plan: with a budget that is a bound.
        target: for whom.
        checkpoint: the source model.
        calibration: texts to calibrate with; see :func:`~.model_file.prepare`.
        texts: those of the verdict.
        reference: the source model as transformers runs it.
        folder: where the bundle shall be.
        kept: see :func:`~.model_file.round_weights`.
        progress: called now and then.

    Raises:
        UsageError: none of the files passes.
    """
    from bertmobile_export.parity.sources import remembering

    bound = bound_of(plan.recipe)
    assert bound is not None
    prepared = prepare(plan, target, checkpoint, calibration)
    survey = survey_formats(plan, target, prepared, progress)
    reference = remembering(reference)
    trials: list[Trial] = []
    seen: list[Plan] = []
    best: Smallest | None = None
    loss = bound.first()
    while len(trials) < ATTEMPTS:
        chosen = fit_loss(plan, survey, loss - survey.activations)
        if chosen in seen or (best and not _spares(chosen, best.draft.plan, target)):
            break
        seen.append(chosen)
        attempt = folder / str(len(seen))
        attempt.mkdir()
        path = attempt / target.model_file(chosen)
        write_file(prepared.again(), chosen, target, checkpoint, path, kept, progress)
        draft = write_draft(attempt, chosen, target, checkpoint)
        compared = report, _ = compare_draft(draft, reference, texts, progress)
        measured, most = bound.measured(report.document), bound.most(report.document)
        expected = max(survey.whole(chosen.recipe), LEAST)
        trials.append(Trial(expected, measured, report.passed and measured <= most))
        if trials[-1].kept:
            if best:
                shutil.rmtree(best.draft.folder)
            best = Smallest(draft, survey, compared)
        else:
            shutil.rmtree(attempt)
        loss = next_loss(trials, most, bound.exponent)
    if best is None:
        raise UsageError(
            f"no formats were found that keep {bound} of {plan.model} for {target.name}: "
            f"{'; '.join(report.failures)}; give {bound.looser}, or --fp16"
        )
    for path in best.draft.folder.iterdir():
        path.rename(folder / path.name)
    best.draft.folder.rmdir()
    return replace(best, draft=replace(best.draft, folder=folder))


def _spares(chosen: Plan, best: Plan, target: Target) -> bool:
    """Whether a file is enough smaller than the best one to be written."""
    return target.predict_bytes(chosen) < (1 - STEP) * target.predict_bytes(best)
