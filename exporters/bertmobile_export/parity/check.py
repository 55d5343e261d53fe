"""An existing bundle against a reference that the user names."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from bertmobile.bundle import verify_bundle
from bertmobile.manifest import Manifest, read_manifest
from bertmobile_export.checkpoint import Checkpoint, load_checkpoint
from bertmobile_export.model_file import Progress, prepare, round_weights
from bertmobile_export.network import build_network
from bertmobile_export.parity.bisect import LayerFidelity, bisect
from bertmobile_export.parity.judge import judge
from bertmobile_export.parity.reference import Reference, load_reference
from bertmobile_export.parity.report import Report
from bertmobile_export.parity.sources import layered
from bertmobile_export.plan import Plan
from bertmobile_export.targets import get_target
from bertmobile_export.texts import Corpus, TextSet, builtin_texts, parity_total, texts_from_file


@dataclass(frozen=True)
class Check:
    """A bundle and the checkpoint it is compared with."""

    folder: Path
    manifest: Manifest
    checkpoint: Checkpoint

    @classmethod
    def open(cls, folder: Path, reference: str, *, revision: str | None = None) -> "Check":
        """Verify a bundle's files, whatever its verdict, and load the checkpoint.

        Raises:
            BundleError: the bundle is damaged.
            CheckpointError: the reference cannot be used for the bundle's task.
        """
        manifest = read_manifest(folder)
        verify_bundle(folder, manifest, allow_unverified=True)
        return cls(folder, manifest, load_checkpoint(reference, task=manifest.task, revision=revision))

    @property
    def same_weights(self) -> bool:
        """Whether the checkpoint is the one that the bundle was made from."""
        return self.checkpoint.weights_sha256 == self.manifest.source.weights_sha256

    @cached_property
    def reference(self) -> Reference:
        """The source model as transformers runs it."""
        return load_reference(self.checkpoint.location.folder, self.checkpoint.config, self.manifest.task)

    @cached_property
    def plan(self) -> Plan:
        """What the bundle was made by."""
        return Plan.from_manifest(self.manifest, self.checkpoint.config)

    def texts(self, path: Path | None) -> TextSet:
        """The texts of a file, or the built-in ones.

        Raises:
            UsageError: the file cannot be used.
        """
        if path is None:
            return self._builtin("parity")
        return texts_from_file(
            path, self.manifest.task, mask_token=self._mask, mask_slots=self.manifest.mask_slots
        )

    def compare(self, texts: TextSet, *, engine: str | None, progress: Progress) -> Report:
        """Compare what the bundle answers with what its source does.

        Raises:
            UsageError: the engine cannot be used.
            ParityError: the two do not even agree on the tokens.
        """
        progress("Loading the reference", 0, 1)
        report, _ = judge(
            self.folder,
            self.reference,
            texts,
            self.plan.recipe,
            engine=engine,
            progress=lambda done, total: progress("Comparing with the reference", done, total),
        )
        return report

    def layers(self, texts: TextSet, *, engine: str | None, progress: Progress) -> list[LayerFidelity]:
        """The fidelity of each layer under the bundle's recipe, and of the outputs as :meth:`compare` has it.

        Raises:
            UsageError: the engine cannot be used.
        """
        progress("Building the diagnostic file", 0, 1)
        plan, target = self.plan, get_target(self.plan.target)
        prepared = prepare(plan, target, self.checkpoint, self._builtin("calibration"))
        round_weights(prepared, plan, target, self.checkpoint)
        exact = build_network(
            plan.config, plan.task, self.checkpoint.network_state, full_logits=plan.full_logits
        )
        return bisect(
            plan,
            target,
            self.checkpoint,
            prepared,
            layered(self.reference, exact),
            texts,
            engine=engine,
            progress=lambda done, total: progress("Comparing layer by layer", done, total),
        )

    @property
    def _mask(self) -> str:
        return self.manifest.tokenizer.special_tokens["mask"].token

    def _builtin(self, corpus: Corpus) -> TextSet:
        return builtin_texts(
            corpus,
            self.manifest.task,
            Tokenizer.from_buffer(self.checkpoint.tokenizer.tokenizer_json),
            self.manifest.lengths,
            mask_token=self._mask,
            mask_slots=self.manifest.mask_slots,
            total=parity_total(self.plan.recipe) if corpus == "parity" else None,
        )
