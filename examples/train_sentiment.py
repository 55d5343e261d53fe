"""Fine-tunes MiniLM to tell positive from negative sentences; a source model for measurements of accuracy.

    python examples/train_sentiment.py OUT_DIR

The data are the ratings behind VADER (Hutto and Gilbert, ICWSM 2014; MIT licence), which lie in the source
distribution of the package vaderSentiment: 23,703 sentences of product reviews, film reviews, newspaper
editorials and tweets, each with the mean of 20 people's ratings from -4 to 4. Sentences within 0.5 of zero,
on which people do not agree, are left out, and so is the second copy of a sentence. A fifth of the documents
is held out: a review or an editorial is never on both sides.

OUT_DIR becomes a Hugging Face folder (BertForSequenceClassification, labels negative and positive) with the
held-out sentences in ``test.tsv``, as ``bertmobile-bench accuracy`` reads them. A few minutes on two cores.
"""

import html
import io
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click
import torch

from shared import default_cache, fetch, held_out, packaged_minilm, prepare, scheduled, training_bar

PACKAGE = "vaderSentiment==3.3.2"
ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"
SOURCES = ("amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets", "tweets")
LABELS = ("negative", "positive")
NEUTRAL = 0.5
TEST_ONE_IN = 5
LONGEST = 64
BATCH = 32
STEPS = 240
RATE = 2e-4


@dataclass(frozen=True)
class Sentence:
    """A sentence, its label (an index into ``LABELS``), and whether it is held out."""

    text: str
    label: int
    test: bool


def read_sentences(sdist: Path) -> list[Sentence]:
    """The usable sentences of the source distribution, in its order."""
    found: dict[str, Sentence] = {}
    for source, line in _lines(sdist):
        name, valence, text = line.split("\t", 2)
        text = " ".join(html.unescape(text).split())
        if text and abs(float(valence)) >= NEUTRAL:
            # "12_3" is the third sentence of the twelfth document.
            document = f"{source}:{name.split('_')[0]}"
            sentence = Sentence(text, int(float(valence) > 0), held_out(document, TEST_ONE_IN))
            found.setdefault(text.lower(), sentence)
    return list(found.values())


def _lines(sdist: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(sdist) as outer:
        inner = next(member for member in outer.getmembers() if member.name.endswith(ARCHIVE))
        content = outer.extractfile(inner)
        assert content is not None
        with tarfile.open(fileobj=io.BytesIO(content.read())) as archive:
            for source in SOURCES:
                name = f"{source}_GroundTruth.txt"
                member = next(m for m in archive.getmembers() if m.name.endswith(name))
                file = archive.extractfile(member)
                assert file is not None
                for line in file.read().decode("utf-8").splitlines():
                    yield source, line


def batches(lengths: list[int], random: Random) -> Iterator[list[int]]:
    """Endless batches of indices; texts of like length are together, so that padding costs little."""
    while True:
        order = list(range(len(lengths)))
        random.shuffle(order)
        pool = 32 * BATCH
        epoch = []
        for start in range(0, len(order), pool):
            near = sorted(order[start : start + pool], key=lengths.__getitem__)
            epoch += [near[i : i + BATCH] for i in range(0, len(near), BATCH)]
        random.shuffle(epoch)
        yield from epoch


def train(model: Any, tokenizer: Any, sentences: list[Sentence], steps: int, seed: int) -> None:
    """Train in place. The word table stays as it is: most words are too rare here to move it well."""
    model.bert.embeddings.requires_grad_(False)
    optimizer, schedule = scheduled([p for p in model.parameters() if p.requires_grad], RATE, steps)
    tokens = tokenizer([s.text for s in sentences], truncation=True, max_length=LONGEST)["input_ids"]
    order = batches([len(ids) for ids in tokens], Random(seed))
    model.train()
    with training_bar("Training", steps) as progress:
        for _ in range(steps):
            chosen = next(order)
            inputs = tokenizer.pad({"input_ids": [tokens[i] for i in chosen]}, return_tensors="pt")
            labels = torch.tensor([sentences[i].label for i in chosen])
            loss = model(**inputs, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            progress(loss.item())
    model.eval()


def accuracy(model: Any, tokenizer: Any, sentences: list[Sentence]) -> float:
    """Share of sentences whose likeliest label is the right one."""
    right = 0
    by_length = sorted(sentences, key=lambda sentence: len(sentence.text))
    with torch.inference_mode():
        for start in range(0, len(by_length), 4 * BATCH):
            batch = by_length[start : start + 4 * BATCH]
            inputs = tokenizer(
                [s.text for s in batch], truncation=True, max_length=256, padding=True, return_tensors="pt"
            )
            labels = torch.tensor([s.label for s in batch])
            right += int((model(**inputs).logits.argmax(-1) == labels).sum())
    return right / len(sentences)


@click.command()
@click.argument("out_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--model", type=click.Path(path_type=Path, exists=True), help="A BERT folder instead of MiniLM."
)
@click.option("--steps", type=click.IntRange(min=1), default=STEPS, show_default=True, help="Training steps.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Held-out sentences; all by default.")
@click.option("--seed", default=0, show_default=True, help="Of the order of the sentences and the new head.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for the fetched package.")
def main(
    out_dir: Path, model: Path | None, steps: int, limit: int | None, seed: int, cache: Path | None
) -> None:
    """Fine-tune a sentiment classifier and write it, with its test sentences, to OUT_DIR."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", PACKAGE]
    sentences = read_sentences(fetch(command, cache or default_cache(), "vader*entiment-*.tar.gz"))
    training = [s for s in sentences if not s.test]
    test = [s for s in sentences if s.test][:limit]

    source = model or packaged_minilm()
    prepare(seed)
    classifier = BertForSequenceClassification.from_pretrained(
        source, id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)}
    )
    tokenizer = AutoTokenizer.from_pretrained(source)
    # Before a call leaves its own settings for long texts in the file.
    tokenizer.save_pretrained(out_dir)
    train(classifier, tokenizer, training, steps, seed)

    classifier.save_pretrained(out_dir)
    rows = [f"{s.text}\t{LABELS[s.label]}\n" for s in test]
    (out_dir / "test.tsv").write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    click.echo(f"{len(training)} sentences to train on, {steps * BATCH / len(training):.2f} epochs")
    click.echo(f"accuracy on {len(test)} held-out sentences: {accuracy(classifier, tokenizer, test):.1%}")


if __name__ == "__main__":
    main()
