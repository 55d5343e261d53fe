"""``bertmobile-run``: try a bundle from the shell."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bertmobile.console import print_json, run, verbose_option
from bertmobile.errors import UsageError

if TYPE_CHECKING:
    from bertmobile.model import Model

EXAMPLES = """\b
Examples:
  Fill a mask, ten proposals:
    bertmobile-run bert-fill-mask-int8.tflite "Paris is the [MASK] of France." --top-k 10
  Classify a pair of texts, as JSON:
    bertmobile-run mnli.tflite "A man sleeps." --pair "Nobody is awake." --json
  Find names, whole words at a time:
    bertmobile-run ner.tflite --aggregation first "Ada Lovelace lived in London."
  Choose among labels of yours, with a model of entailment:
    bertmobile-run mnli.tflite --candidate-labels "animals, politics" "Two dogs run after a ball."
  Ask each line of a file:
    bertmobile-run qa.tflite --question "Who wrote it?" < paragraphs.txt
  Vector of a text:
    bertmobile-run minilm.tflite --embed "a sentence"
  Vector of a question, for a model that has a prompt for these:
    bertmobile-run e5.onnx --embed --prompt-name query "Who wrote it?"
  Many inputs, one JSON result for each line, as they come:
    echo '{"question": "Who?", "context": "It was Ada."}' | bertmobile-run qa.tflite --json-lines

\b
Exit codes: 0 done; 1 failed; 2 wrong usage; 4 an optional package is missing.
"""


@click.command("bertmobile-run", epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--pair", metavar="TEXT", help="Second text, for each TEXT.")
@click.option("--question", metavar="TEXT", help="Question; each TEXT is then a context.")
@click.option("--context", metavar="TEXT", help="Context; each TEXT is then a question.")
@click.option("--top-k", type=click.IntRange(min=1), metavar="N", help="Number of answers.")
@click.option("--aggregation", metavar="NAME", help="Join tokens: none, simple, first, average or max.")
@click.option(
    "--stride", type=click.IntRange(min=0), metavar="N", help="Tokens shared by parts of a long text."
)
@click.option("--candidate-labels", metavar="LABELS", help="Labels of yours, with commas between.")
@click.option("--multi-label", is_flag=True, default=None, help="Several of these labels may hold.")
@click.option("--hypothesis-template", metavar="TEXT", help="What a text may entail; {} is the label.")
@click.option("--embed", is_flag=True, help="Print the vector of each TEXT (feature-extraction).")
@click.option("--prompt-name", metavar="NAME", help="Prompt to put before each TEXT (with --embed).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all results.")
@click.option("--json-lines", is_flag=True, help="Read JSON from stdin and print JSON, line by line.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="CPU threads.")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Folder for the engine's caches.")
@click.option(
    "--allow-unverified", is_flag=True, help="Run a bundle whose parity check is missing or failed."
)
@click.version_option(package_name="bertmobile")
@verbose_option
def command(
    bundle: Path,
    texts: tuple[str, ...],
    pair: str | None,
    question: str | None,
    context: str | None,
    top_k: int | None,
    aggregation: str | None,
    stride: int | None,
    candidate_labels: str | None,
    multi_label: bool | None,
    hypothesis_template: str | None,
    embed: bool,
    prompt_name: str | None,
    as_json: bool,
    json_lines: bool,
    threads: int,
    cache_dir: Path | None,
    allow_unverified: bool,
) -> None:
    """Run the model in the folder BUNDLE on each TEXT.

    Without TEXT, or with "-", every line of stdin is a text; empty lines are skipped. With --json-lines every
    line is a JSON string, or an object such as {"text": ..., "text_pair": ...} or {"question": ...,
    "context": ...}.
    """
    extra = {"text_pair": pair, "question": question, "context": context}
    fixed = {name: text for name, text in extra.items() if text is not None}
    options = {
        "top_k": top_k,
        "aggregation_strategy": aggregation,
        "stride": stride,
        "candidate_labels": candidate_labels,
        "multi_label": multi_label,
        "hypothesis_template": hypothesis_template,
    }
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if as_json and json_lines:
        raise UsageError("--json and --json-lines exclude each other; give one")
    if pair is not None and len(fixed) > 1:
        raise UsageError("--pair does not go with --question or --context")
    if embed and given:
        raise UsageError("--embed goes with no option of answers, such as --top-k")
    if prompt_name is not None and not embed:
        raise UsageError("--prompt-name is for --embed; add it")
    if texts and len(fixed) == 2:
        raise UsageError("--question and --context are one input together; leave TEXT out")
    if json_lines and (texts not in ((), ("-",)) or len(fixed) == 2):
        raise UsageError("--json-lines reads its inputs from stdin; leave TEXT out")

    # Only now, so that --help and wrong usage are answered at once.
    import warnings

    from bertmobile.model import load
    from bertmobile.tokenization import TruncationWarning

    warnings.simplefilter("always", TruncationWarning)  # each text that is cut is worth a line
    with load(bundle, threads=threads, cache_dir=cache_dir, allow_unverified=allow_unverified) as model:
        results = []
        for place, item in _items(texts, fixed, json_lines):
            try:
                answer = _embed(model, item, prompt_name) if embed else model(item, **given)
            except UsageError as failure:
                raise UsageError(f"{place}{failure}") from failure
            if as_json:
                results.append({"input": item, "output": _plain(answer)})
            elif json_lines:
                print_json(_plain(answer))
            else:
                _print(item, answer, embed=embed, heading=bool(place))
        if as_json:
            document = {"bundle": model.manifest.name, "task": model.manifest.task, "results": results}
            print_json(document)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``bertmobile-run``; returns the exit code."""
    return run(command, argv)


def _items(texts: tuple[str, ...], fixed: dict[str, str], json_lines: bool) -> Iterator[tuple[str, Any]]:
    """(where it came from, input); the place is empty when there is only one."""
    if texts and texts != ("-",):
        for number, text in enumerate(texts, start=1):
            yield (f"text {number}: " if len(texts) > 1 else ""), _input(text, fixed)
    elif len(fixed) == 2:
        yield "", fixed
    else:
        for number, line in _stdin_lines():
            value = _parsed(line, number) if json_lines else line
            yield f"line {number}: ", _input(value, fixed) if isinstance(value, str) else value


def _input(text: str, fixed: dict[str, str]) -> str | dict[str, str]:
    """A text with the other half of its pair, where an option gave one."""
    if not fixed:
        return text
    own = {"text_pair": "text", "question": "context", "context": "question"}
    return {own[next(iter(fixed))]: text, **fixed}


def _stdin_lines() -> Iterator[tuple[int, str]]:
    # Bytes, because the text stream would follow the locale.
    for number, raw in enumerate(sys.stdin.buffer, start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as failure:
            raise UsageError(f"line {number} is not UTF-8 ({failure.reason}); convert the input") from failure
        if line.strip():
            yield number, line.rstrip("\r\n")


def _parsed(line: str, number: int) -> str | dict[str, Any]:
    import json

    try:
        value = json.loads(line)
    except ValueError as failure:
        raise UsageError(f"line {number} is not JSON ({failure})") from failure
    if not isinstance(value, str | dict):
        raise UsageError(f"line {number} must be a JSON string or object, not {line.strip()[:40]}")
    return value


def _embed(model: "Model", item: object, prompt_name: str | None) -> Any:
    if not isinstance(item, str):
        raise UsageError("--embed takes single texts")
    return model.embed(item, prompt_name=prompt_name)[0]


def _plain(answer: Any) -> Any:
    """Arrays as lists, for JSON."""
    return answer.tolist() if hasattr(answer, "tolist") else answer


def _print(item: Any, answer: Any, *, embed: bool, heading: bool) -> None:
    from bertmobile.display import lines

    if embed:
        click.echo(" ".join(f"{value:.6g}" for value in answer))
        return
    if heading:
        click.echo(item if isinstance(item, str) else " | ".join(map(str, item.values())))
    indent = "  " if heading else ""
    for line in lines(answer):
        click.echo(f"{indent}{line}".rstrip())
