"""Writes question_answering.json with the classic pipeline, which left transformers in release 5.3.

Run once, in an environment with torch and transformers 4.57, from the root of the repository:

    PYTHONPATH=runtime_py:tests python -m runtime_py.tasks.make_question_answering_vectors

The logits are those of HashEngine, so that only the pipeline's own rules are recorded.
"""

import json
import re
from functools import partial
from pathlib import Path

import torch
import transformers
from transformers.modeling_outputs import QuestionAnsweringModelOutput

from ..helpers import LENGTHS, span_logits, tokenizer_folder

CONTEXTS = {
    "plain": "Ada Lovelace wrote the first published algorithm in 1843, while translating Menabrea's notes.",
    "mixed": "Das Café Zürich — 東京 🍕 — öffnete 1998; pneumonoultramicroscopic naïveté, don't you think? "
    * 3,
    "long": " ".join(
        f"Chapter {n} tells how the {n * 37}th lighthouse keeper mended his net." for n in range(30)
    ),
    "short": "Ada.",
}
OPTIONS = [
    {},
    {"top_k": 3},
    {"top_k": 5, "handle_impossible_answer": True},
    {"handle_impossible_answer": True},
    {"max_answer_len": 1, "top_k": 2},
    {"max_answer_len": 40},
    {"doc_stride": 5, "top_k": 4},
]


class HashModel(transformers.BertForQuestionAnswering):
    def forward(self, input_ids, attention_mask=None, token_type_ids=None, **_):
        start, end = (torch.from_numpy(span_logits(input_ids.numpy(), which)) for which in (0, 1))
        return QuestionAnsweringModelOutput(start_logits=start, end_logits=end)


def main():
    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder())
    pipeline = transformers.pipeline("question-answering", model=HashModel(config), tokenizer=tokenizer)
    cases = []
    for question in ("Who wrote it?", "Was ist naïveté, und wo ist 東京?"):
        for name, context in CONTEXTS.items():
            for options in OPTIONS:
                answers = pipeline(question=question, context=context, max_seq_len=LENGTHS[-1], **options)
                cases.append({"question": question, "context": name, "options": options, "answers": answers})
    table = (Path(__file__).parents[3] / "docs/runtime.md").read_text("utf-8")
    calls = re.findall(r"^\| question-answering \| `(.*?)` \|", table, re.M)
    answers = {call: eval(call, {"model": partial(pipeline, max_seq_len=LENGTHS[-1])}) for call in calls}
    document = {
        "transformers": transformers.__version__,
        "contexts": CONTEXTS,
        "cases": cases,
        "calls": answers,
    }
    path = Path(__file__).with_name("question_answering.json")
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
