"""What a bundle costs in accuracy, against its source model in float32, on texts of the user's.

from bertmobile_bench.accuracy import measure

result = measure(Path("reviews-text-classification-int8.tflite"), "./reviews", Path("test.tsv"))
result.score.change, result.score.interval
"""

from bertmobile_bench.accuracy.measure import measure
from bertmobile_bench.accuracy.reference import Source
from bertmobile_bench.accuracy.score import Accuracy, Score

__all__ = ["Accuracy", "Score", "Source", "measure"]
