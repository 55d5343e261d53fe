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
from bertmobile_export.parity.compare import meaningful_outputs, model_inputs
from bertmobile_export.parity.numbers import Numbers
from bertmobile_export.parity.report import EVALUATOR
from bertmobile_export.texts import TextSet
from bertmobile_export.threads import one_thread_each


@dataclass(frozen=True)
class Agreement:
    """What bundles answered to the same texts.

    Attributes:
        numbers: for each pair of targets ``outputs``, ``labels`` and ``values`` as in the schema ``parity``,
            the first target compared with the second.
        milliseconds: median time of a run by target, one thread, the runs of all targets taking turns; None
            where no engine of this host is that of a phone.
    """

    numbers: Mapping[tuple[str, str], Mapping[str, Any]]
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
        numbers = {pair: Numbers.of(models[pair[0]].manifest) for pair in pairs}
        seconds: dict[str, list[float]] = {target: [] for target in models}
        for index, sample in enumerate(texts.samples):
            outputs = {}
            for target, model in models.items():
                inputs, positions, encoded = model_inputs(model, sample)
                if model.manifest.mask_slots and not positions:
                    break  # its mask was cut off
                started = time.perf_counter()
                answer = model.run(inputs)
                seconds[target].append(time.perf_counter() - started)
                outputs[target] = meaningful_outputs(model, answer, len(encoded), len(positions))
            else:
                for first, second in pairs:
                    numbers[first, second].add(outputs[first], outputs[second], encoded)
            progress(index + 1, len(texts.samples))
        milliseconds = {
            # Its speed says nothing about Core ML's.
            target: None if model.engine[0] == EVALUATOR else 1e3 * median(seconds[target])
            for target, model in models.items()
        }
    return Agreement({pair: entry.summary() for pair, entry in numbers.items()}, milliseconds)
