"""An existing bundle against a reference that the user names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokenizers import Tokenizer

from bertmobile.bundle import verify_bundle
from bertmobile.manifest import Manifest, read_manifest
from bertmobile_export.calibration import calibration_inputs
from bertmobile_export.checkpoint import Checkpoint, load_checkpoint
from bertmobile_export.model_file import Progress, prepare
from bertmobile_export.network import build_network
from bertmobile_export.parity.bisect import LayerFidelity, bisect
from bertmobile_export.parity.judge import judge
from bertmobile_export.parity.reference import load_reference
from bertmobile_export.parity.report import Report
from bertmobile_export.plan import NEWEST_IOS, Plan
from bertmobile_export.recipes import Recipe, parse_recipe
from bertmobile_export.targets import get_target
from bertmobile_export.texts import TextSet, builtin_texts, texts_from_file

# For --bisect: enough texts to tell layers apart, and one bucket, because layers do not differ between them.
LAYER_TEXTS = 32
LAYER_LENGTH = 128


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

    def compare(self, texts: Path | None, *, engine: str | None, progress: Progress) -> Report:
        """Compare on a file of texts, or on the built-in ones.

        Raises:
            UsageError: the file or the engine cannot be used.
            ParityError: the two do not even agree on the tokens.
        """
        chosen = self._texts("parity", self.manifest.lengths) if texts is None else self._from_file(texts)
        progress("Loading the reference", 0, 1)
        reference = load_reference(
            self.checkpoint.location.folder, self.checkpoint.config, self.manifest.task
        )
        report, _ = judge(
            self.folder,
            reference,
            chosen,
            self._recipe,
            engine=engine,
            progress=lambda done, total: progress("Comparing with the reference", done, total),
        )
        return report

    def layers(self, progress: Progress) -> list[LayerFidelity]:
        """The fidelity of each layer under the bundle's recipe, on built-in texts."""
        progress("Building the diagnostic file", 0, 1)
        length = max([n for n in self.manifest.lengths if n <= LAYER_LENGTH] or self.manifest.lengths[:1])
        options = self.manifest.options
        ios = options.get("ios", NEWEST_IOS)
        plan = Plan(
            model=self.manifest.source.model,
            config=self.checkpoint.config,
            task=self.manifest.task,
            recipe=self._recipe,
            target=self.manifest.target,
            lengths=(length,),
            full_logits=bool(options.get("full-logits")),
            portable=bool(options.get("portable")),
            ios=int(ios) if self.manifest.target == "coreml" else None,
        )
        target = get_target(plan.target)
        calibration_texts = self._texts("calibration", plan.lengths)
        network, calibration = prepare(plan, target, self.checkpoint, calibration_texts)
        texts = self._texts("parity", plan.lengths)
        few = texts.samples[:: -(-len(texts.samples) // LAYER_TEXTS)]
        samples = calibration_inputs(plan, self.manifest.tokenizer, self._tokenizer, few)
        reference = build_network(
            plan.config, plan.task, self.checkpoint.network_state, full_logits=plan.full_logits
        )
        return bisect(
            plan,
            target,
            self.manifest,
            network,
            reference,
            calibration,
            list(samples),
            self.checkpoint.tokenizer,
        )

    @property
    def _recipe(self) -> Recipe:
        return parse_recipe(self.manifest.recipe, source="the manifest's recipe")

    @property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.from_buffer(self.checkpoint.tokenizer.tokenizer_json)

    @property
    def _mask(self) -> str:
        return self.manifest.tokenizer.special_tokens["mask"].token

    def _from_file(self, path: Path) -> TextSet:
        return texts_from_file(
            path, self.manifest.task, mask_token=self._mask, mask_slots=self.manifest.mask_slots
        )

    def _texts(self, corpus: Literal["parity", "calibration"], lengths: tuple[int, ...]) -> TextSet:
        return builtin_texts(
            corpus,
            self.manifest.task,
            self._tokenizer,
            lengths,
            mask_token=self._mask,
            mask_slots=self.manifest.mask_slots,
        )
