"""A bundle on disk, run by the runtime, against its reference: numbers and verdict."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bertmobile import Model, load
from bertmobile_export.parity.compare import Comparison, compare
from bertmobile_export.parity.reference import Reference
from bertmobile_export.parity.report import Report, make_report
from bertmobile_export.recipes import Recipe
from bertmobile_export.texts import TextSet

# Engines whose answers are judged beside those of another. An evaluator can round as half precision does or
# not round at all, and Core ML is free to do either.
COMPANIONS = {"mlprogram-evaluator": ("mlprogram-evaluator-fp32",)}


def judge(
    folder: Path,
    reference: Reference,
    texts: TextSet,
    recipe: Recipe,
    *,
    engine: str | None = None,
    cache_dir: Path | None = None,
    keep_per_bucket: int = 0,
    inspected: Mapping[str, Any] = MappingProxyType({}),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Report, Comparison]:
    """Compare a bundle, whatever its verdict so far.

    Args:
        folder: the bundle.
        reference: its source.
        texts: what to compare on.
        recipe: decides the thresholds.
        engine: name of an engine; by default the target's own.
        cache_dir: for the engine's caches.
        keep_per_bucket: how many answers of each bucket to keep whole.
        inspected: what else the report says about the file.
        progress: called with the number of texts done and their total.

    Raises:
        UsageError: no such engine.
        ParityError: different tokens, or no text that can be compared.
    """
    with ExitStack() as stack:

        def opened(name: str | None) -> Model:
            model = load(folder, engine=name, cache_dir=cache_dir, verify=False, allow_unverified=True)
            return stack.enter_context(model)

        model = opened(engine)
        also = {name: opened(name) for name in COMPANIONS.get(model.engine[0], ())}
        comparison = compare(
            model, reference, texts, also=also, keep_per_bucket=keep_per_bucket, progress=progress
        )
        return make_report(model, recipe, comparison, inspected), comparison
