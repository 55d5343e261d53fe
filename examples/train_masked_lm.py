"""Gives MiniLM a masked-LM head, trained on Debian's prose; a source model for measurements of perplexity.

    python examples/train_masked_lm.py OUT_DIR

The texts are two Debian packages, fetched with ``apt-get download`` (Debian and its relatives only) and
unpacked without being installed: ``anarchism`` (An Anarchist FAQ, GFDL or GPL) and ``bible-kjv-text`` (King
James Version, public domain). A tenth of the documents (pages of the one, chapters of the other) is held out.

The decoder is the word table. Its bias and the layer before it are new and are trained alone at first, so
that they do not spoil the encoder while they are random; then everything is trained. Scores of the vocabulary
are computed at masked positions only: for all positions they would cost as much as the encoder.

OUT_DIR becomes a Hugging Face folder (BertForMaskedLM) with held-out sentences of 8 to 60 words in
``test.jsonl``, as ``bertmobile-bench accuracy`` reads them. Less than eight minutes on two cores.
"""

import json
import math
import re
import struct
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import click
import torch

from shared import default_cache, fetch, held_out, packaged_minilm, prepare, scheduled, training_bar

PAGES = "usr/share/doc/anarchism/html"
PAGE_NAMES = ("intro", "vol", "sec", "append")
BIBLE = "usr/lib/bible.data"
TEST_ONE_IN = 10
TEST_TEXTS = 500
WORDS = range(8, 61)
LENGTH = 64
BATCH = 24
STEPS = 300
HEAD_SHARE = 0.35
HEAD_RATE = 2e-3
RATE = 4e-4
MASKED = 0.25
SAMPLE = 100
"""Texts whose pseudo-perplexity is printed at the end, with four masks each."""


class _Paragraphs(HTMLParser):
    """Text of the paragraphs of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "p":
            self._close()
            self._open = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "blockquote", "div"):
            self._close()

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.append(data)

    def _close(self) -> None:
        if self._open:
            self.found.append(" ".join("".join(self._open).split()))
        self._open = None


def read_pages(folder: Path) -> dict[str, list[str]]:
    """Sentences of each page of the FAQ."""
    documents = {}
    for path in sorted(folder.glob("*.html")):
        if path.name.startswith(PAGE_NAMES):
            parser = _Paragraphs()
            parser.feed(path.read_text(encoding="utf-8", errors="replace"))
            # A full stop before a capital letter; an abbreviation now and then is cut in two.
            documents[path.stem] = [
                sentence for text in parser.found for sentence in re.split(r"(?<=[.!?])\s+(?=[\"A-Z])", text)
            ]
    return documents


def read_bible(path: Path) -> dict[str, list[str]]:
    """Verses of each chapter.

    The file holds a header (the number of blocks as big-endian uint32 at byte 88, their offsets from byte 92
    on) and blocks in the format of ``compress`` that share their three bytes of magic number.
    """
    content = path.read_bytes()
    (count,) = struct.unpack_from(">I", content, 88)
    offsets = [*struct.unpack_from(f">{count}I", content, 92), len(content)]
    magic = b"\x1f\x9d\x90"
    blocks = [
        # Python's gzip does not know the format, the gzip program does.
        subprocess.run(["gzip", "-dc"], input=magic + content[a:b], capture_output=True, check=True).stdout
        for a, b in pairwise(offsets)
    ]
    documents: dict[str, list[str]] = {}
    for line in b"".join(blocks).decode("utf-8").splitlines():
        # "Ge1:1 In the beginning ..."
        if verse := re.match(r"(\w+):\d+ (.*)", line):
            documents.setdefault(verse[1], []).append(verse[2].strip())
    return documents


def read_documents(cache: Path) -> dict[str, list[str]]:
    """Sentences of each document of both packages, by its name."""
    for package in ("anarchism", "bible-kjv-text"):
        archive = fetch(["apt-get", "download", package], cache, f"{package}_*.deb")
        fetch(["dpkg-deb", "-x", archive.name, package], cache, f"{package}/usr")
    found = read_pages(cache / "anarchism" / PAGES) | read_bible(cache / "bible-kjv-text" / BIBLE)
    return {name: sentences for name, sentences in found.items() if sentences}


def rows(tokenizer: Any, documents: list[list[str]]) -> torch.Tensor:
    """Token ids [n, ``LENGTH``]: documents cut into rows without padding, their rests dropped."""
    room = LENGTH - 2
    found = []
    for sentences in documents:
        ids = [i for part in tokenizer(sentences, add_special_tokens=False)["input_ids"] for i in part]
        for start in range(0, len(ids) - room + 1, room):
            found.append([tokenizer.cls_token_id, *ids[start : start + room], tokenizer.sep_token_id])
    return torch.tensor(found)


def batches(data: torch.Tensor, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Endless batches [``BATCH``, ``LENGTH``] in random order."""
    while True:
        order = torch.randperm(len(data), generator=generator)
        for start in range(0, len(order), BATCH):
            yield data[order[start : start + BATCH]]


def train(model: Any, data: torch.Tensor, mask_id: int, steps: int, seed: int) -> None:
    """Train in place: the head alone for ``HEAD_SHARE`` of the steps, then everything."""
    generator = torch.Generator().manual_seed(seed)
    stream = batches(data, generator)
    table = model.bert.embeddings.word_embeddings.weight
    head = [parameter for parameter in model.cls.parameters() if parameter is not table]
    # The new bias begins with what is known without looking at the text: how frequent each token is.
    counts = torch.bincount(data.flatten(), minlength=len(table)).float() + 0.1
    model.cls.predictions.bias.data.copy_((counts / counts.sum()).log())
    head_steps = max(1, round(HEAD_SHARE * steps))
    model.train()
    for name, parameters, rate, count in (
        ("Head", head, HEAD_RATE, head_steps),
        ("Everything", list(model.parameters()), RATE, max(1, steps - head_steps)),
    ):
        model.requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer, schedule = scheduled(parameters, rate, count)
        with training_bar(name, count) as progress:
            for _ in range(count):
                loss = _loss(model, next(stream), mask_id, generator)
                torch.autograd.backward(loss)
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                progress(loss.item())
    model.eval()


def _loss(model: Any, ids: torch.Tensor, mask_id: int, generator: torch.Generator) -> torch.Tensor:
    masked = torch.rand(ids.shape, generator=generator) < MASKED
    masked[:, 0] = masked[:, -1] = False
    # Always [MASK], never a random word instead: this is how the model will be asked.
    states = model.bert(input_ids=ids.masked_fill(masked, mask_id)).last_hidden_state
    return torch.nn.functional.cross_entropy(model.cls(states[masked]), ids[masked])


def pseudo_perplexity(model: Any, tokenizer: Any, texts: list[str]) -> float:
    """exp of the mean negative log probability of up to four tokens of each text, each masked alone."""
    total, count = 0.0, 0
    with torch.inference_mode():
        for number, text in enumerate(texts):
            ids = torch.tensor(tokenizer(text, truncation=True, max_length=128)["input_ids"])
            positions = Random(number).sample(range(1, len(ids) - 1), min(4, len(ids) - 2))
            masked = ids.repeat(len(positions), 1)
            masked[range(len(positions)), positions] = tokenizer.mask_token_id
            states = model.bert(input_ids=masked).last_hidden_state[range(len(positions)), positions]
            total += torch.nn.functional.cross_entropy(
                model.cls(states), ids[positions], reduction="sum"
            ).item()
            count += len(positions)
    return math.exp(total / count)


@click.command()
@click.argument("out_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--model", type=click.Path(path_type=Path, exists=True), help="A BERT folder instead of MiniLM."
)
@click.option("--steps", type=click.IntRange(min=2), default=STEPS, show_default=True, help="Training steps.")
@click.option("--limit", type=click.IntRange(min=1), default=TEST_TEXTS, show_default=True, metavar="N",
              help="Held-out sentences to write.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the rows, the masks and the new head.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for the fetched packages.")
def main(out_dir: Path, model: Path | None, steps: int, limit: int, seed: int, cache: Path | None) -> None:
    """Train a masked-LM head and write it, with its test sentences, to OUT_DIR."""
    from transformers import AutoTokenizer, BertForMaskedLM

    documents = read_documents(cache or default_cache())
    test = [name for name in documents if held_out(name, TEST_ONE_IN)]
    usable = [text for name in test for text in documents[name] if len(text.split()) in WORDS]
    texts = [usable[i * len(usable) // limit] for i in range(min(limit, len(usable)))]

    source = model or packaged_minilm()
    prepare(seed)
    network = BertForMaskedLM.from_pretrained(source)
    tokenizer = AutoTokenizer.from_pretrained(source)
    # Before a call leaves its own settings for long texts in the file.
    tokenizer.save_pretrained(out_dir)
    data = rows(tokenizer, [sentences for name, sentences in documents.items() if name not in test])
    train(network, data, tokenizer.mask_token_id, steps, seed)

    network.save_pretrained(out_dir)
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    (out_dir / "test.jsonl").write_text("".join(lines), encoding="utf-8")
    click.echo(f"{data.numel():,} tokens to train on, {steps * BATCH / len(data):.2f} epochs")
    few = texts[:: -(-len(texts) // SAMPLE)]
    perplexity = pseudo_perplexity(network, tokenizer, few)
    click.echo(f"pseudo-perplexity of {len(few)} held-out sentences: {perplexity:.1f}")


if __name__ == "__main__":
    main()
