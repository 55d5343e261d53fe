"""What a user of Optimum writes, as a process of its own: ``REQUESTS.json``.

Reads a list of ``{"class": ..., "bundle": ..., "texts": [...]}``, and prints one JSON list with an entry for
each: the tokens and outputs of all texts as one padded batch, and of each text alone.
"""

import json
import sys
from pathlib import Path
from typing import Any

import optimum.onnxruntime
from transformers import AutoTokenizer


def outputs(model: Any, tokenizer: Any, texts: list[str]) -> dict[str, Any]:
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    answered = {name: values.tolist() for name, values in model(**inputs).items()}
    return {"inputs": {name: values.tolist() for name, values in inputs.items()}, "outputs": answered}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    tokenizer = AutoTokenizer.from_pretrained(request["bundle"])
    model = getattr(optimum.onnxruntime, request["class"]).from_pretrained(request["bundle"])
    texts = request["texts"]
    return {
        "batch": outputs(model, tokenizer, texts),
        "alone": [outputs(model, tokenizer, [text]) for text in texts],
    }


if __name__ == "__main__":
    print(json.dumps([answer(request) for request in json.loads(Path(sys.argv[1]).read_text("utf-8"))]))
