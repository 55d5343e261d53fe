"""From a plan and a checkpoint to the model file or package: prepare the network, choose formats, write."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bertmobile.errors import BertMobileError
from bertmobile_export.budget.fit import fit, limit, narrowed
from bertmobile_export.memory import release_memory
from bertmobile_export.plan import Plan
from bertmobile_export.targets import Target

if TYPE_CHECKING:
    from bertmobile_export.budget.survey import Survey
    from bertmobile_export.checkpoint import Checkpoint
    from bertmobile_export.network import Network
    from bertmobile_export.targets import Inputs
    from bertmobile_export.texts import TextSet

# Shares of a limit that are left free, in case the file comes out larger than was predicted.
RESERVES = (0.002, 0.01, 0.03)
# Called with what is being done, how much of it is done and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prepared:
    """A network whose weights are still to be rounded, and what its recipe is calibrated with.

    Attributes:
        network: in float32, its activations evened out where they are to be quantized.
        samples: texts as its inputs, [1, longest bucket] int64 by name; empty where nothing is calibrated.
        sentences: the same of the single sentences that only rounding reads.
    """

    network: "Network"
    samples: "Sequence[Inputs]"
    sentences: "Sequence[Inputs]"

    def again(self) -> "Prepared":
        """The same with modules of its own, which hold the same tensors: rounding changes either alone."""
        shared = {id(tensor): tensor for tensor in (*self.network.parameters(), *self.network.buffers())}
        return replace(self, network=copy.deepcopy(self.network, dict(shared)))


def write_model(
    plan: Plan,
    target: Target,
    checkpoint: "Checkpoint",
    calibration: "TextSet | None",
    folder: Path,
    kept: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> "tuple[Plan, Survey | None]":
    """Write the model file or package; with a limit, in the formats that lose least within it.

    Args:
        plan: what to make.
        target: for whom.
        checkpoint: the source model.
        calibration: see :func:`prepare`.
        folder: where to write.
        kept: see :func:`round_weights`.
        progress: called now and then.

    Returns:
        The plan with a format for each matrix, and what these were chosen from (None without a budget).

    Raises:
        BertMobileError: the file keeps coming out above the limit.
    """
    from bertmobile_export import bundle as bundles

    prepared = prepare(plan, target, checkpoint, calibration)
    path, most = folder / target.model_file(plan), limit(plan)
    if most is None:  # formats are known
        write_file(prepared, plan, target, checkpoint, path, kept, progress)
        return plan, None
    found = survey_formats(plan, target, prepared, progress)
    for reserve in RESERVES:
        chosen = fit(plan, found, reserve)
        write_file(prepared.again(), chosen, target, checkpoint, path, kept, progress)
        if bundles.stored_bytes(path) <= most:
            return chosen, found
        bundles.remove(path)
    raise BertMobileError(
        f"{plan.bundle_name} came out above its limit again and again; give a --max-size a little higher"
    )


def prepare(plan: Plan, target: Target, checkpoint: "Checkpoint", calibration: "TextSet | None") -> Prepared:
    """The network as its recipe's activations want it, with its calibration inputs.

    Args:
        plan: what to make.
        target: for whom.
        checkpoint: the source model.
        calibration: texts; may be None, and is not read, where nothing is calibrated.
    """
    from tokenizers import Tokenizer

    from bertmobile_export.calibration import calibration_inputs
    from bertmobile_export.network import build_network
    from bertmobile_export.network.equalisation import equalise

    network = build_network(plan.config, plan.task, checkpoint.network_state, full_logits=plan.full_logits)
    if calibration is None or not calibrates(plan, target):
        return Prepared(network, [], [])
    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)
    inputs = partial(calibration_inputs, plan, checkpoint.tokenizer.spec, tokenizer)
    samples, sentences = list(inputs(calibration.samples)), list(inputs(calibration.sentences))
    activations = target.quantized_activations(narrowed(plan, target))
    if activations is not None:
        equalise(network, samples, activations)
    return Prepared(network, samples, sentences)


def survey_formats(plan: Plan, target: Target, prepared: Prepared, progress: Progress) -> "Survey":
    """What each matrix would lose in each of the target's formats, on the calibration texts.

    Args:
        plan: with a budget.
        target: offers the formats.
        prepared: for the plan.
        progress: called now and then.

    Raises:
        CheckpointError: a matrix holds numbers that are not finite.
    """
    from bertmobile_export.budget.survey import survey

    return survey(
        plan,
        target,
        prepared.network,
        prepared.samples,
        lambda done, total: progress("Measuring sensitivities", done, total),
    )


def round_weights(
    prepared: Prepared,
    plan: Plan,
    target: Target,
    checkpoint: "Checkpoint",
    kept: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> None:
    """Make the weights of ``prepared``'s network what the codes of a plan's formats stand for.

    Args:
        prepared: for the plan, or for the one whose budget chose its formats; changed in place.
        plan: with a format for each matrix.
        target: for whom.
        checkpoint: the source model.
        kept: a folder for what a rounding of high effort has finished; one that was stopped goes on there.
        progress: called now and then.
    """
    from tokenizers import Tokenizer

    from bertmobile_export.calibration import word_ids
    from bertmobile_export.quantization import quantize_weights

    quantize_weights(
        prepared.network,
        plan.recipe,
        [*prepared.samples, *prepared.sentences],
        levels=target.levels(plan),
        words=word_ids(Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)),
        kept=kept,
        progress=lambda done, total: progress("Rounding weights", done, total),
    )


def write_file(
    prepared: Prepared,
    plan: Plan,
    target: Target,
    checkpoint: "Checkpoint",
    path: Path,
    kept: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> None:
    """Round the weights and write the model file or package to ``path``; see :func:`round_weights`."""
    round_weights(prepared, plan, target, checkpoint, kept, progress)
    release_memory()
    progress(f"Converting to {target.name}", 0, 1)
    target.write(plan, prepared.network, prepared.samples, path, checkpoint.tokenizer)


def calibrates(plan: Plan, target: Target) -> bool:
    """Whether an export reads calibration texts."""
    return plan.recipe.rounding != "nearest" or target.quantized_activations(plan) is not None
