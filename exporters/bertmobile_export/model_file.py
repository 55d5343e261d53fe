"""From a plan and a checkpoint to the model file or package: prepare the network, choose formats, write."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bertmobile.errors import BertMobileError
from bertmobile_export.budget.fit import fit, limit, narrowed
from bertmobile_export.memory import release_memory
from bertmobile_export.plan import Plan
from bertmobile_export.targets import Target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bertmobile_export.budget.survey import Survey
    from bertmobile_export.checkpoint import Checkpoint
    from bertmobile_export.network import Network
    from bertmobile_export.texts import TextSet

# Shares of a limit that are left free, in case the file comes out larger than was predicted.
RESERVES = (0.002, 0.01, 0.03)
# Called with what is being done, how much of it is done and how much there is.
Progress = Callable[[str, int, int], None]


def write_model(
    plan: Plan,
    target: Target,
    checkpoint: "Checkpoint",
    calibration: "TextSet | None",
    folder: Path,
    kept: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> "tuple[Plan, Survey | None]":
    """Write the model file or package; with a budget, in the formats that lose least within it.

    Args:
        plan: what to make.
        target: for whom.
        checkpoint: the source model.
        calibration: see :func:`prepare`.
        folder: where to write.
        kept: see :func:`prepare`.
        progress: called now and then.

    Returns:
        The plan with a format for each matrix, and what these were chosen from (None without a budget).

    Raises:
        BertMobileError: the file keeps coming out above the limit.
    """
    from bertmobile_export import bundle as bundles

    def rounded(plan: Plan) -> "tuple[Network, list[dict[str, NDArray[np.int64]]]]":
        network, samples = prepare(plan, target, checkpoint, calibration, kept, progress)
        release_memory()
        progress(f"Converting to {target.name}", 0, 1)
        return network, samples

    path, most = folder / target.model_file(plan), limit(plan)
    if most is None:  # formats are known
        network, samples = rounded(plan)
        target.write(plan, network, samples, path, checkpoint.tokenizer)
        return plan, None
    found = survey_formats(plan, target, checkpoint, calibration, progress)
    for reserve in RESERVES:
        chosen = fit(plan, found, reserve)
        network, samples = rounded(chosen)
        target.write(chosen, network, samples, path, checkpoint.tokenizer)
        if bundles.stored_bytes(path) <= most:
            return chosen, found
        bundles.remove(path)
    raise BertMobileError(
        f"{plan.bundle_name} came out above its limit again and again; give a --max-size a little higher"
    )


def survey_formats(
    plan: Plan,
    target: Target,
    checkpoint: "Checkpoint",
    calibration: "TextSet | None",
    progress: Progress,
) -> "Survey":
    """What each matrix would lose in each of the target's formats.

    Args:
        plan: with a budget.
        target: offers the formats.
        checkpoint: the source model.
        calibration: texts to measure on; see :func:`prepare`.
        progress: called now and then.

    Raises:
        CheckpointError: a matrix holds numbers that are not finite.
    """
    from bertmobile_export.budget.survey import survey

    network, samples = prepare(plan, target, checkpoint, calibration)
    return survey(
        plan,
        target,
        network,
        samples,
        lambda done, total: progress("Measuring sensitivities", done, total),
    )


def prepare(
    plan: Plan,
    target: Target,
    checkpoint: "Checkpoint",
    calibration: "TextSet | None",
    kept: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> "tuple[Network, list[dict[str, NDArray[np.int64]]]]":
    """The network as the recipe wants it, and its calibration inputs.

    Args:
        plan: what to make.
        target: for whom.
        checkpoint: the source model.
        calibration: texts; may be None, and is not read, where nothing is calibrated.
        kept: a folder for what a rounding of high effort has finished; one that was stopped goes on there.
        progress: called now and then.

    Returns:
        The network, whose weights are what its codes stand for (in float32 where formats are still to be
        chosen), and the texts as its inputs, without the single sentences that only rounding reads: each
        [1, longest bucket] int64 by name (an empty list where nothing is calibrated).
    """
    from tokenizers import Tokenizer

    from bertmobile_export.calibration import calibration_inputs, word_ids
    from bertmobile_export.network import build_network
    from bertmobile_export.network.equalisation import equalise
    from bertmobile_export.quantization import quantize_weights

    tokenizer = Tokenizer.from_buffer(checkpoint.tokenizer.tokenizer_json)
    network = build_network(plan.config, plan.task, checkpoint.network_state, full_logits=plan.full_logits)
    samples: list[dict[str, NDArray[np.int64]]] = []
    sentences: list[dict[str, NDArray[np.int64]]] = []
    if calibration is not None and calibrates(plan, target):
        inputs = partial(calibration_inputs, plan, checkpoint.tokenizer.spec, tokenizer)
        samples, sentences = list(inputs(calibration.samples)), list(inputs(calibration.sentences))
        activations = target.quantized_activations(narrowed(plan, target))
        if activations is not None:
            equalise(network, samples, activations)
    if plan.recipe.budget is not None:  # what its matrices could be is still to be measured
        return network, samples
    levels, words = target.levels(plan), word_ids(tokenizer)
    quantize_weights(
        network,
        plan.recipe,
        [*samples, *sentences],
        levels=levels,
        words=words,
        kept=kept,
        progress=lambda done, total: progress("Rounding weights", done, total),
    )
    return network, samples


def calibrates(plan: Plan, target: Target) -> bool:
    """Whether an export reads calibration texts."""
    return plan.recipe.rounding != "nearest" or target.quantized_activations(plan) is not None
