"""Bundles of one model for several targets against each other: do they give the same answers?"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

from bertmobile import load
from bertmobile_export.parity.compare import meaningful_outputs, metrics_of, model_inputs
from bertmobile_export.parity.metrics import OutputMetrics
from bertmobile_export.parity.report import EVALUATOR
from bertmobile_export.texts import TextSet
from bertmobile_export.threads import one_thread_each


@dataclass(frozen=True)
class Agreement:
    """What bundles answered to the same texts.

    Attributes:
        outputs: for each pair of targets the numbers of each output (as in the schema ``parity``), the first
            target compared with the second.
        milliseconds: median time of a run by target, one thread, the runs of all targets taking turns; None
            where no engine of this host is that of a phone.
    """

    outputs: Mapping[tuple[str, str], Mapping[str, Any]]
    milliseconds: Mapping[str, float | None]


def agreement(
    bundles: Mapping[str, Path],
    texts: TextSet,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Agreement:
    """Run texts through all bundles in turns, and compare each two.

    Args:
        bundles: by target, of one model, task and recipe.
        texts: none longer than the shortest of the bundles' longest inputs.
        progress: called with the number of texts done and their total.
    """
    with ExitStack() as stack, one_thread_each():
        models = {
            target: stack.enter_context(load(folder, verify=False, allow_unverified=True))
            for target, folder in bundles.items()
        }
        pairs = list(combinations(models, 2))
        metrics: dict[tuple[str, str], dict[str, OutputMetrics]] = {
            pair: metrics_of(models[pair[0]]) for pair in pairs
        }
        seconds: dict[str, list[float]] = {target: [] for target in models}
        for index, sample in enumerate(texts.samples):
            outputs = {}
            for target, model in models.items():
                inputs, positions, tokens = model_inputs(model, sample)
                if model.manifest.mask_slots and not positions:
                    break  # its mask was cut off
                started = time.perf_counter()
                answer = model.run(inputs)
                seconds[target].append(time.perf_counter() - started)
                outputs[target] = meaningful_outputs(model, answer, tokens, len(positions))
            else:
                for first, second in pairs:
                    for name, entry in metrics[first, second].items():
                        entry.add(outputs[first][name], outputs[second][name])
            progress(index + 1, len(texts.samples))
        milliseconds = {
            # Its speed says nothing about Core ML's.
            target: None if model.engine[0] == EVALUATOR else 1e3 * median(seconds[target])
            for target, model in models.items()
        }
    numbers = {
        pair: {name: entry.summary() for name, entry in by_output.items()}
        for pair, by_output in metrics.items()
    }
    return Agreement(numbers, milliseconds)
