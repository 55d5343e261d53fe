"""What each task brings: its measures, its data, and how both models are asked and scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bertmobile.manifest import Manifest
from bertmobile_bench.accuracy.both import Both
from bertmobile_bench.accuracy.data.files import DataSet
from bertmobile_bench.accuracy.score import Score


@dataclass(frozen=True)
class Findings:
    """The scores, in the order of the measures, and how many texts were cut to the longest length."""

    scores: tuple[Score, ...]
    cut: int


class Task(Protocol):
    """A module of this package, named after its task."""

    def measures(self, manifest: Manifest) -> tuple[str, ...]:
        """The measures that apply to a bundle, the one that matters most first.

        Raises:
            UsageError: none does.
        """

    def read(self, path: Path, manifest: Manifest, limit: int | None) -> DataSet[Any]:
        """Read the data, at most ``limit`` examples.

        Raises:
            UsageError: the data cannot be used; names the place and the remedy.
        """

    def score(self, both: Both, examples: Sequence[Any], measures: tuple[str, ...]) -> Findings:
        """Ask both models, and compare what they say.

        Args:
            examples: as :meth:`read` gives them, at least two.
            measures: some of :meth:`measures`.

        Raises:
            UsageError: an example cannot be used, or a measure has no value on these.
            ParityError: the two models do not even agree on the tokens.
        """
