"""A bundle before its verdict: written into a temporary folder, compared with its source, judged."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertmobile.manifest import Verdict
from bertmobile_export.model_file import Progress
from bertmobile_export.plan import Plan
from bertmobile_export.targets import Target

if TYPE_CHECKING:
    from bertmobile.manifest import Manifest
    from bertmobile_export.checkpoint import Checkpoint
    from bertmobile_export.parity.compare import Comparison
    from bertmobile_export.parity.reference import Reference
    from bertmobile_export.parity.report import Report
    from bertmobile_export.texts import TextSet

    Compared = tuple[Report, Comparison]


@dataclass(frozen=True)
class ParityTexts:
    """What a bundle is compared on.

    Attributes:
        compared: decide its verdict.
        stored: built-in ones, of which the bundle keeps some with their answers.
    """

    compared: "TextSet"
    stored: "TextSet"


@dataclass(frozen=True)
class Draft:
    """A bundle in its temporary folder, whose parity is not known yet.

    Attributes:
        inspected: what the report says beside its answers.
    """

    folder: Path
    plan: Plan
    manifest: "Manifest"
    inspected: Mapping[str, Any]


def write_draft(folder: Path, plan: Plan, target: Target, checkpoint: "Checkpoint") -> Draft:
    """Add to a model file what else a bundle has, with a pending verdict."""
    from bertmobile_export import bundle as bundles

    manifest = bundles.draft_manifest(plan, checkpoint, target)
    bundles.write_source_files(folder, checkpoint, manifest)
    manifest = bundles.write_manifest(folder, manifest)
    return Draft(folder, plan, manifest, target.inspect(plan, folder / manifest.model_file))


def compare_draft(draft: Draft, reference: "Reference", texts: "TextSet", progress: Progress) -> "Compared":
    """Compare a bundle with its source."""
    from bertmobile_export.parity.golden import CASES
    from bertmobile_export.parity.judge import judge

    # The cache spares the engine a packed copy of the weights for each bucket.
    with tempfile.TemporaryDirectory() as cache:
        return judge(
            draft.folder,
            reference,
            texts,
            draft.plan.recipe,
            cache_dir=Path(cache),
            keep_per_bucket=-(-CASES // len(draft.plan.lengths)),
            inspected=draft.inspected,
            progress=lambda done, total: progress(f"Checking {draft.plan.target}", done, total),
        )


def verify_draft(
    draft: Draft,
    reference: "Reference",
    texts: ParityTexts,
    progress: Progress,
    compared: "Compared | None" = None,
) -> "Report":
    """Compare a bundle with its source, write both reports into it, and its verdict into the manifest.

    Texts of a user's decide the verdict and are not stored: the golden answers are then to built-in ones.

    Args:
        draft: the bundle.
        reference: its source.
        texts: what to compare on.
        progress: called now and then.
        compared: what :func:`compare_draft` found already.
    """
    from bertmobile_export import bundle as bundles
    from bertmobile_export.parity.golden import golden_document

    report, comparison = compared or compare_draft(draft, reference, texts.compared, progress)
    golden = report, comparison
    if texts.stored is not texts.compared:
        golden = compare_draft(draft, reference, texts.stored, progress)
    bundles.write_json(draft.folder / "parity.json", report.document)
    bundles.write_json(draft.folder / "golden.json", golden_document(golden[1].kept, golden[0]))
    verdict: Verdict = "passed" if report.passed else "failed"
    bundles.write_manifest(draft.folder, replace(draft.manifest, verdict=verdict))
    return report
