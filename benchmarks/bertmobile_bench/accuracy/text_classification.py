"""text-classification: how many texts get their label, or how well one number follows people's scores.

``flipped`` is the share of texts that get another label; for a number see :func:`.correlation.score`.
"""

from collections.abc import Sequence
from pathlib import Path

from bertmobile.errors import UsageError
from bertmobile.manifest import Manifest
from bertmobile.tasks.text_classification import TextClassification
from bertmobile_bench.accuracy import correlation, labels
from bertmobile_bench.accuracy.both import Both
from bertmobile_bench.accuracy.data.files import DataSet
from bertmobile_bench.accuracy.data.labels import number, one_of
from bertmobile_bench.accuracy.data.texts import Example, read_texts
from bertmobile_bench.accuracy.task import Findings


def measures(manifest: Manifest) -> tuple[str, ...]:
    """What GLUE measures: accuracy, F1 and Matthews' correlation of labels, or correlations of a number.

    A number is the score of the only label, of a regression or, through a sigmoid, of a cross-encoder.
    """
    match manifest.problem_type, len(manifest.labels):
        case None | "regression", 1:
            return tuple(correlation.MEASURES)
        case None | "single_label_classification", count if count > 1:
            return labels.measures(count)
    raise UsageError(
        f"{manifest.name} gives neither one label of several nor one number ({manifest.problem_type}, "
        f"{len(manifest.labels)} labels), so that no measure applies; compare it with bertmobile-parity"
    )


def read(path: Path, manifest: Manifest, limit: int | None) -> DataSet[Example]:
    """Texts or pairs, each with a label or, where the model gives one, a number."""
    label = number if len(manifest.labels) == 1 else one_of(manifest.labels)
    return read_texts(path, label, limit=limit)


def score(both: Both, examples: Sequence[Example], measures: tuple[str, ...]) -> Findings:
    """Label all texts with both models."""
    manifest = both.model.manifest
    one_number = len(manifest.labels) == 1

    def answer(task: TextClassification, example: Example) -> float:
        best = task.answer(example.text, example.pair)
        assert isinstance(best, dict)
        return float(best["score"]) if one_number else manifest.labels.index(best["label"])

    cut = both.cut((example.text, example.pair, example.place) for example in examples)
    answers = both.ask(TextClassification, answer, examples)
    compare = correlation.score if one_number else labels.score
    return Findings(compare(measures, [example.label for example in examples], answers), cut)
