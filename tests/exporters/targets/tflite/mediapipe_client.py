"""What an app's author writes around MediaPipe, as a process of its own: ``TASK MODEL TEXTS.json``.

Prints one JSON list with an entry for each text: heads, each a dictionary from label to score; or embeddings.
The package reports its use to a host of Google's, so tests start this where there is no network.
"""

import json
import sys
from pathlib import Path
from typing import Any

from mediapipe.tasks.python.text.text_classifier import TextClassifier
from mediapipe.tasks.python.text.text_embedder import TextEmbedder


def classify(model: str, texts: list[str]) -> list[Any]:
    with TextClassifier.create_from_model_path(model) as classifier:
        return [
            [
                {category.category_name: category.score for category in head.categories}
                for head in classifier.classify(text).classifications
            ]
            for text in texts
        ]


def embed(model: str, texts: list[str]) -> list[Any]:
    with TextEmbedder.create_from_model_path(model) as embedder:
        return [
            [embedding.embedding.tolist() for embedding in embedder.embed(text).embeddings[:1]]
            for text in texts
        ]


if __name__ == "__main__":
    task, model, texts = sys.argv[1:]
    run = {"text-classification": classify, "feature-extraction": embed}[task]
    print(json.dumps(run(model, json.loads(Path(texts).read_text("utf-8")))))
