"""README and docs: their examples run, and what they state is what the code says."""

import inspect
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import click
import pytest

import bertmobile
import bertmobile.cli
import bertmobile.errors
import bertmobile.model
import bertmobile_bench.cli
import bertmobile_export.cli.export
import bertmobile_export.cli.parity
from bertmobile.engines import _ENGINES
from bertmobile.manifest import read_manifest
from bertmobile.schemas import validate
from bertmobile.tasks.question_answering import QuestionAnswering
from bertmobile.tasks.token_classification import TokenClassification
from bertmobile.tasks.zero_shot_classification import ZeroShotClassification
from bertmobile.tokenization import DEFAULT_STRIDE
from bertmobile_export import plan, texts
from bertmobile_export.budget.fit import narrowed
from bertmobile_export.checkpoint.config import HIDDEN_ACTS, TASK_BY_ARCHITECTURE, ModelConfig, read_config
from bertmobile_export.network import equalisation
from bertmobile_export.network.encoder import MASKED_SCORE
from bertmobile_export.parity import golden, judge, metrics
from bertmobile_export.recipes import read_recipe, recipe_names
from bertmobile_export.targets import get_target, target_names
from bertmobile_export.targets.coreml.target import IOS_VERSIONS
from bertmobile_export.targets.tflite import flatbuffer, size

from .benchmarks.report import documents
from .checkpoints import make_checkpoint
from .conftest import ExportedAll
from .exports import BIN, Exports
from .hub_server import Hub, serve_hub
from .runtime_py.helpers import HashEngine, make_manifest, write_bundle

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {
    "bertmobile-run": bertmobile.cli,
    "bertmobile-export": bertmobile_export.cli.export,
    "bertmobile-parity": bertmobile_export.cli.parity,
    "bertmobile-bench": bertmobile_bench.cli,
}

# What the names in the examples stand for. Bundles of the first table are real exports of a tiny checkpoint;
# those of the second have a made-up engine, because only the call and the shape of the answer are at stake.
REAL_BUNDLES = {
    "model-feature-extraction-int8.tflite": "tflite",
    "model-feature-extraction-int8.onnx": "onnx",
    "model-feature-extraction-int8.coreml": "coreml",
    "my-bert-feature-extraction-int8.tflite": "tflite",
    "my-bert-feature-extraction-int8.coreml": "coreml",
}
PLACEHOLDERS: dict[str, dict[str, Any]] = {
    "bert-mobile-fill-mask-int8.tflite": {"task": "fill-mask", "mask_slots": plan.MASK_SLOTS},
    "mnli-text-classification-int8.tflite": {
        "task": "text-classification",
        "labels": ("entailment", "neutral", "contradiction"),
    },
    "ner-token-classification-int8.tflite": {
        "task": "token-classification",
        "labels": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    },
    "qa-question-answering-int8.tflite": {"task": "question-answering"},
    "bert-next-sentence-int8.tflite": {"task": "next-sentence"},
}
FILES = {
    "texts.txt": "The sea was calm.\nWe walked home in the rain.\n",
    "reviews.txt": "A good film.\nI did not like the end of it.\nThey made it again.\n",
    "paragraphs.txt": "It was written by Ada.\nThe letter came in May.\n",
    "host.json": json.dumps(documents.document(on=documents.host())),
    "phones.jsonl": json.dumps(documents.document()),
}
SQUAD = {"context": "It was Ada.", "qas": [{"question": who, "answers": [{"text": "Ada"}]} for who in "ab"]}
# Models that the examples measure, with the data beside them; their bundles are real.
MEASURED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "sentiment": ("text-classification", {}, "test.tsv", "text\tlabel\nA good film.\t1\nIt rained.\t0\n"),
    "mrpc": (
        "text-classification",
        {"id2label": {0: "0", 1: "1"}, "label2id": {"0": 0, "1": 1}},
        "dev.tsv",
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tHe ran.\tShe ran.\n0\t9\t10\tYes.\tNo.\n",
    ),
    "stsb": (
        "text-classification",
        {"id2label": {0: "score"}, "label2id": {"score": 0}},
        "dev.tsv",
        "index\tsentence1\tsentence2\tscore\n0\tHe ran.\tShe ran.\t4.2\n1\tYes.\tNo.\t1.000\n",
    ),
    "ner": (
        "token-classification",
        {},
        "test.conll",
        "Ada NNP B-PER\nran VBD O\n\nIn IN O\nParis NNP B-LOC\n",
    ),
    "qa": ("question-answering", {}, "dev-v1.1.json", json.dumps({"data": [{"paragraphs": [SQUAD]}]})),
    "nsp": (
        "next-sentence",
        {},
        "pairs.jsonl",
        '{"text": "It rained.", "pair": "We stayed.", "label": "is_next"}\n'
        '{"text": "It rained.", "pair": "Two is even.", "label": 1}\n',
    ),
    "minilm": (
        "feature-extraction",
        {},
        "sts-dev.tsv",
        "sentence1\tsentence2\tscore\nHe ran.\tShe ran.\t4.2\nYes.\tNo.\t1.0\n",
    ),
    "mlm": ("fill-mask", {}, "test.jsonl", '{"text": "The sea was calm."}\n{"text": "We walked home."}\n'),
}
MY_BERT = "my-bert"
# The sizes on the card of the default model.
CARD = {
    "architectures": ["BertForMaskedLM"],
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 512,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "intermediate_size": 2048,
    "max_position_embeddings": 512,
}
# Each target, and each option that changes what an app does with the file.
README_FORMS: list[dict[str, Any]] = [
    {"task": "feature-extraction", "recipe": "int8", "target": "tflite"},
    {"task": "text-classification", "checkpoint": {}, "mediapipe": True, "untrained": True},
    {"task": "feature-extraction", "recipe": "int8", "target": "onnx"},
    {"task": "feature-extraction", "recipe": "int8", "target": "onnx", "ort": True},
    {"task": "feature-extraction", "recipe": "float32", "target": "onnx", "portable": True},
    {"task": "feature-extraction", "recipe": "int8", "target": "coreml"},
    {"task": "feature-extraction", "recipe": "float16", "target": "coreml", "ios": 16},
    {"task": "fill-mask", "recipe": "int8", "target": "onnx"},
    {"task": "question-answering", "recipe": "float32", "target": "coreml"},
]
# Options of other tools.
FOREIGN_OPTIONS = {"--check"}


@dataclass(frozen=True)
class Block:
    """A fenced block; ``notes`` are those of a comment ``<!-- key: value, ... -->`` before it."""

    language: str
    content: str
    notes: dict[str, str]


@dataclass(frozen=True)
class Command:
    """One command of a shell block."""

    argv: tuple[str, ...]
    stdin: str = ""
    stdin_file: str | None = None

    @property
    def from_hub(self) -> bool:
        model = self.argv[self.argv.index("--model") + 1] if "--model" in self.argv else None
        return self.argv[0] == "bertmobile-export" and model in (None, "boltuix/bert-mobile")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    pattern = r"(?:<!-- ([^\n]*) -->\n)?^```(\w+)\n(.*?)^```$"
    found = []
    for comment, language, content in re.findall(pattern, page.read_text("utf-8"), re.M | re.S):
        notes = dict(note.split(": ", 1) for note in comment.split(", ")) if comment else {}
        found.append(Block(language, content, notes))
    return found


def commands(page: Path) -> list[Command]:
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.content.splitlines()]
    return [parse(line) for line in lines if line.strip()]


def parse(line: str) -> Command:
    """A command, with ``echo TEXT |`` before it or ``< FILE`` behind it; no more of the shell than that."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>;&$")
    lexer.whitespace_split = True
    words = list(lexer)
    stdin, stdin_file = "", None
    if "|" in words:
        bar = words.index("|")
        assert words[0] == "echo" and bar == 2, line
        stdin, words = words[1] + "\n", words[bar + 1 :]
    if "<" in words:
        stdin_file, words = words[-1], words[:-2]
    assert not set(words) & set("|<>;&$"), line
    return Command(tuple(words), stdin, stdin_file)


def our_commands() -> list[tuple[Path, Command]]:
    return [(page, command) for page in PAGES for command in commands(page) if command.argv[0] in COMMANDS]


def identify(value: object) -> str:
    if isinstance(value, Path):
        return value.name
    return " ".join(value.argv) if isinstance(value, Command) else str(value)


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next heading."""
    text = (ROOT / page).read_text("utf-8")
    return re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S)[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without the header."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", cell)


def options(command: str) -> set[str]:
    """The long options of a command, click's own ``--help`` and ``--version`` included."""
    return options_of(COMMANDS[command].command)


def options_of(command: click.Command) -> set[str]:
    parameters = [p for p in command.params if isinstance(p, click.Option)]
    named = {name for parameter in parameters for name in parameter.opts} | {"--help"}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            named |= options_of(command.get_command(context, name))
    return named


# --- examples


def lay_out(folder: Path, exports: Exports) -> Path:
    """A folder in which every name of the examples is there."""
    (folder / "artifacts").mkdir(parents=True)
    for name, target in REAL_BUNDLES.items():
        bundle = exports("feature-extraction", "int8", target=target).bundle
        (folder / "artifacts" / name).symlink_to(bundle)
    for name, manifest in PLACEHOLDERS.items():
        write_bundle(folder / "artifacts" / name, make_manifest(**manifest))
    for name, (task, more, data, content) in MEASURED.items():
        (folder / name).mkdir()
        # Untrained: an export with 8 bits is then judged on cosines alone.
        checkpoint = {"trained": False, **more}
        for path in exports.checkpoint(task, **checkpoint).iterdir():
            (folder / name / path.name).symlink_to(path)
        (folder / name / data).write_text(content, encoding="utf-8")
        bundle = exports(task, target="onnx", checkpoint=checkpoint).bundle
        (folder / "artifacts" / f"{name}-{task}-int8.onnx").symlink_to(bundle)
    (folder / MY_BERT).symlink_to(exports.checkpoint("feature-extraction"))
    (folder / ".venv").symlink_to(sys.prefix)
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    for page in PAGES:
        for block in blocks(page):
            if "file" in block.notes:
                (folder / block.notes["file"]).write_text(block.content, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def laid_out(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("docs") / "folder", exports)


@pytest.fixture
def workspace(laid_out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    real = bertmobile.model.open_engine

    def open_engine(folder: Path, manifest: Any, **settings: Any) -> Any:
        placeholder = manifest.name.startswith("tiny-") and folder.name in PLACEHOLDERS
        return HashEngine(manifest) if placeholder else real(folder, manifest, **settings)

    monkeypatch.setattr(bertmobile.model, "open_engine", open_engine)
    monkeypatch.chdir(laid_out)
    return laid_out


@pytest.fixture(scope="module")
def card_hub() -> Iterator[Hub]:
    """A hub with the default model's config, and no weights."""
    with serve_hub() as hub:
        hub.add("boltuix/bert-mobile", {"config.json": json.dumps(CARD).encode()})
        yield hub


def run_here(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    given = (folder / command.stdin_file).read_text("utf-8") if command.stdin_file else command.stdin
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    main: Callable[[list[str]], int] = COMMANDS[command.argv[0]].main
    return main(list(command.argv[1:]))


def run_apart(
    command: Command, folder: Path, environment: dict[str, str] | None = None, *more: str
) -> "subprocess.CompletedProcess[str]":
    program, *arguments = command.argv
    return subprocess.run(
        [str(BIN / program), *arguments, *more],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def planned(command: Command) -> Command:
    """A dry run of an export. Alone it would plan every recipe, where the export makes float32."""
    recipe = () if {"--int8", "--fp16", "--recipe"} & set(command.argv) else ("--recipe", "float32")
    return Command((*command.argv, "--dry-run", *recipe))


PYTHON_PAGES = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]
# Run with devices by tests/benchmarks/emulator/test_device.py and tests/benchmarks/device.
NEED_DEVICES = {"emulate", "adb", "devices", "build-runner"}
QUICK = [
    (page, command)
    for page, command in our_commands()
    if not command.from_hub and "--bisect" not in command.argv and not NEED_DEVICES & set(command.argv[1:2])
]
FROM_HUB = [(page, command) for page, command in our_commands() if command.from_hub]
# The exports of the packaged weights are made by tests/test_shown_output.py.
SLOW = [
    (page, command)
    for page, command in our_commands()
    if "--bisect" in command.argv
    or (
        command.argv[0] == "bertmobile-export"
        and "--dry-run" not in command.argv
        and not any("site-packages" in argument for argument in command.argv)
    )
]


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=identify)
def test_the_python_examples_of_a_page_run_in_order(page: Path, workspace: Path) -> None:
    namespace: dict[str, Any] = {}
    for number, block in enumerate(blocks(page), start=1):
        if block.language == "python":
            exec(compile(block.content, f"{page.name} block {number}", "exec"), namespace)


@pytest.mark.parametrize(("page", "command"), QUICK, ids=identify)
def test_a_command_of_the_docs_runs(
    page: Path,
    command: Command,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Exports are planned here and made in the slow test.
    if command.argv[0] == "bertmobile-export" and "--dry-run" not in command.argv:
        command = planned(command)
    assert run_here(command, workspace, monkeypatch) == 0
    output = capsys.readouterr().out
    assert output.strip()
    if "--json" in command.argv:
        json.loads(output)


@pytest.mark.parametrize(("page", "command"), FROM_HUB, ids=identify)
def test_a_command_with_a_hub_id_plans_its_export(
    page: Path, command: Command, card_hub: Hub, tmp_path: Path
) -> None:
    more = () if "--dry-run" in command.argv else ("--dry-run",)
    done = run_apart(command, tmp_path, card_hub.environment(tmp_path / "home"), *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert card_hub.fetched() == {"config.json"}
    if "--dry-run" in command.argv:
        shown = next(block for block in blocks(page) if block.content.startswith("boltuix/bert-mobile,"))
        assert done.stdout.split() == shown.content.split()


@pytest.mark.parametrize(
    ("page", "command"),
    [(page, command) for page in PAGES for command in commands(page) if command.argv[0] not in COMMANDS],
    ids=identify,
)
def test_other_commands_name_what_exists(page: Path, command: Command) -> None:
    program, *arguments = command.argv
    if program == "make":
        assert set(arguments) <= make_targets()
    elif program == "pip":
        action, package = arguments
        assert action == "install"
        assert re.fullmatch(r"bertmobile\[(\w+)\]", package)[1] in pyproject()["optional-dependencies"]
    elif program == "source":
        assert arguments == [".venv/bin/activate"]
    else:
        assert program.startswith(".venv/bin/") and (BIN / Path(program).name).exists()
        assert all((ROOT / part).exists() for part in arguments if "/" in part)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), SLOW, ids=identify)
def test_a_long_command_of_the_docs_runs_for_real(
    page: Path,
    command: Command,
    exports: Exports,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = lay_out(tmp_path / "folder", exports)
    # An existing bundle of the same name would stand in the way, as it should.
    if command.argv[0] == "bertmobile-export":
        (folder / "artifacts").rename(folder / "other-artifacts")
    if command.from_hub:
        code, output, errors = run_with_hub(command, folder, tmp_path)
    else:
        # In this process, which has loaded the converters already.
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        code = run_here(command, folder, monkeypatch)
        output, errors = capsys.readouterr()
    assert code == 0, errors
    if command.argv[0] == "bertmobile-export":
        target = command.argv[command.argv.index("--target") + 1]
        bundles = re.findall(r"^(\S+\.(?:tflite|onnx|coreml))$", output, re.M)
        made = [read_manifest(folder / bundle).target for bundle in bundles]
        assert made == (target_names() if target == "all" else [target])


def run_with_hub(command: Command, folder: Path, place: Path) -> tuple[int, str, str]:
    """Run a command apart, with a hub that has a tiny model for the default one: code, output and errors."""
    # Ranks of an untrained model do not count, and a tiny trained one's are not what the docs speak of.
    source = make_checkpoint(
        place / "bert-mobile", "fill-mask", trained=False, num_hidden_layers=1, max_position_embeddings=256
    )
    with serve_hub() as hub:
        hub.add("boltuix/bert-mobile", {path.name: path.read_bytes() for path in source.iterdir()})
        done = run_apart(command, folder, hub.environment(place / "home", COLUMNS="200"))
    return done.returncode, done.stdout, done.stderr


# --- statements


def pyproject() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def make_targets() -> set[str]:
    return set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)[1].split())


def slug(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.M)
            assert anchor in {slug(heading) for heading in headings}, target


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert all(f"({name_of(page)})" in readme for page in PAGES[1:])


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_pages_name_no_place_on_a_machine(page: Path) -> None:
    assert not re.search(
        r"(?<!/data/local)/(?:work|root|home|tmp|Users)/|localhost|127\.0\.0\.1", page.read_text("utf-8")
    )


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_every_option_named_in_a_page_exists(page: Path) -> None:
    from bertmobile_bench.figures.__main__ import main as figures

    text = page.read_text("utf-8")
    spans = re.findall(r"`([^`\n]+)`", text) + [b.content for b in blocks(page) if b.language == "sh"]
    named = {option for span in spans for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    known = set().union(options_of(figures), *map(options, COMMANDS))
    assert named - FOREIGN_OPTIONS <= known


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_a_measurement_named_in_a_page_exists(page: Path) -> None:
    from bertmobile_bench.figures.__main__ import _MEASUREMENTS

    assert set(re.findall(r"figures --only (\S+?)`", page.read_text("utf-8"))) <= set(_MEASUREMENTS)


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_no_figure_is_missing(page: Path) -> None:
    assert "TODO" not in page.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_an_example_is_run_here_or_needs_an_environment_of_its_own(page: Path) -> None:
    languages = {block.language for block in blocks(page)}
    assert languages <= {"sh", "python", "json", "text", "py"}
    clients = " ".join(path.read_text("utf-8") for path in (ROOT / "tests/clients").glob("test_*.py"))
    assert "py" not in languages or name_of(page) in clients


@pytest.mark.parametrize(
    ("page", "heading", "command"),
    [
        ("docs/export.md", "Options", "bertmobile-export"),
        ("docs/runtime.md", "Command line", "bertmobile-run"),
    ],
)
def test_a_table_of_options_is_complete(page: str, heading: str, command: str) -> None:
    described = {name.split()[0] for row in rows(section(page, heading)) for name in code(row[0])}
    assert described == options(command) - {"--help", "--version"}


def test_every_option_of_parity_is_described() -> None:
    text = (ROOT / "docs/parity.md").read_text("utf-8")
    for option in options("bertmobile-parity") - {"--help", "--verbose"}:
        assert re.search(rf"{option}\b", text), option


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("docs/export.md", "Recipes"),
        ("docs/quantization.md", "Recipes by target"),
        ("docs/tflite.md", "Recipes in LiteRT's terms"),
        ("docs/onnx.md", "Recipes in ONNX's terms"),
        ("docs/coreml.md", "What is written"),
    ],
)
def test_the_recipes_are_those_that_there_are(page: str, heading: str) -> None:
    assert sorted(code(row[0])[0] for row in rows(section(page, heading))) == recipe_names()


def test_the_readme_names_the_targets_and_the_recipes() -> None:
    named = code(section("README.md", "What is there, and what is not"))
    assert sorted(named) == sorted([*target_names(), *recipe_names()])


@pytest.fixture
def card_config(tmp_path: Path) -> ModelConfig:
    (tmp_path / "config.json").write_text(json.dumps(CARD), encoding="utf-8")
    return read_config(tmp_path)


def planned_for(config: ModelConfig, target: str, recipe: str = "float32", **more: Any) -> plan.Plan:
    settings = {"ios": plan.NEWEST_IOS if target == "coreml" else None, "lengths": (32,), **more}
    return plan.Plan("m", config, "fill-mask", read_recipe(recipe), target, **settings)


def is_refused(wanted: plan.Plan) -> bool:
    try:
        target = get_target(wanted.target)
        target.check(narrowed(wanted, target))
    except bertmobile.UsageError:
        return True
    return False


def test_the_targets_have_the_files_inputs_and_options_that_the_table_says(card_config: ModelConfig) -> None:
    stated = []
    for name, file, dtype, _, own, more in rows(section("docs/export.md", "Targets")):
        target = get_target(*code(name))
        stated.append(target.name)
        assert code(own) == [f"--{option}" for option in target.options]
        assert code(dtype) == [target.input_dtype]
        forms = [{}] + ([{"ort": True}] if "ort" in target.options else [])
        assert code(file) == [target.model_file(planned_for(card_config, target.name, **f)) for f in forms]
        assert f"({target.name}.md)" in more
    assert stated == target_names()


QUANTIZED_ACTIVATIONS = {
    "a range for each row": ("row", False),
    "one range for each input of a run": ("tensor", False),
    "inputs of linear layers uint8, calibrated": ("static", False),
    "inputs of linear layers on 256 levels, calibrated": ("static", False),
    "inputs and outputs of linear layers int8, calibrated": ("static", True),
    "inputs and outputs of linear layers uint8, calibrated": ("static", True),
}


def test_a_recipe_quantizes_on_each_target_what_the_table_says(card_config: ModelConfig) -> None:
    columns = [("tflite", {}), ("onnx", {}), ("onnx", {"portable": True}), ("coreml", {})]
    for name, *cells in rows(section("docs/quantization.md", "Recipes by target")):
        for (target, form), cell in zip(columns, cells, strict=True):
            wanted = planned_for(card_config, target, *code(name), **form)
            assert is_refused(wanted) == (cell == "refused"), (name, target)
            if cell == "refused":
                continue
            found = get_target(target).quantized_activations(wanted)
            (stated,) = {v for text, v in QUANTIZED_ACTIVATIONS.items() if text in cell} or {None}
            assert stated == (found and (found.range, found.outputs)), (name, target)


def test_each_place_of_equalisation_is_in_its_table() -> None:
    table = rows(section("docs/quantization.md", "Equalisation"))
    assert [cost == "none" for *_, cost in table] == [s.buffer is None for s in equalisation._SITES]


def test_each_bundle_that_is_equalised_has_its_effect_in_the_table(card_config: ModelConfig) -> None:
    names = {"TFLite": "tflite", "ONNX": "onnx", "Core ML": "coreml"}
    stated = {
        (names[re.sub(r" `.*", "", bundle)], *code(bundle))
        for bundle, *_ in rows(section("docs/quantization.md", "What equalisation brings"))
    }
    assert stated == {
        (target, recipe)
        for target in target_names()
        for recipe in recipe_names()
        if get_target(target).quantized_activations(planned_for(card_config, target, recipe))
    }


def test_a_system_version_holds_what_the_table_says(card_config: ModelConfig) -> None:
    table = rows(section("docs/coreml.md", "System versions"))
    assert [int(version) for version, *_ in table] == list(IOS_VERSIONS)
    recipes: set[str] = set()
    for version, holds, lengths, _ in table:
        recipes = set(code(holds)) | (recipes if "the same" in holds else set())
        ios = int(version)
        held = {
            name
            for name in recipe_names()
            if not is_refused(planned_for(card_config, "coreml", name, ios=ios))
        }
        assert held == recipes
        several = planned_for(card_config, "coreml", ios=ios, lengths=(32, 64))
        assert is_refused(several) == (lengths == "one")


def test_the_engines_are_those_of_the_table() -> None:
    table = rows(section("docs/runtime.md", "Engines"))
    stated = {code(name)[0]: code(target)[0] for name, target, *_ in table}
    assert list(stated.items()) == [(name, target) for name, (target, *_) in _ENGINES.items()]
    assert all(code(row[2])[0] in pyproject()["optional-dependencies"] for row in table)


def test_the_engines_that_judge_together_are_those_of_the_table() -> None:
    stated = [code(row[0])[0] for row in rows(section("docs/parity.md", "What runs the bundle"))]
    assert {stated[0]: tuple(stated[1:])} == judge.COMPANIONS


def test_the_report_has_the_fields_of_the_table() -> None:
    stated = [name for row in rows(section("docs/parity.md", "The report")) for name in code(row[0])]
    assert sorted(stated) == sorted(schema("parity")["properties"])


def test_the_json_of_all_targets_has_the_fields_that_are_described(export_all_json: ExportedAll) -> None:
    described = set(code(section("docs/export.md", "Result")))
    document = export_all_json.document
    assert set(document) | set(document["bundles"][0]) | set(document["agreement"][0]) <= described


def test_the_thresholds_are_those_of_the_data() -> None:
    text = section("docs/parity.md", "Thresholds")
    tables = re.split(r"^\| judged as ", text, flags=re.MULTILINE)[1:]
    assert len(tables) == 2
    stated: dict[str, dict[str, float]] = {}
    for table in tables:
        keys = code(table.splitlines()[0])
        for name, *cells in rows("| judged as " + table.split("\n\n")[0]):
            bounds = {key: float(cell) for key, cell in zip(keys, cells, strict=True) if cell}
            stated.setdefault(code(name)[0], {}).update(bounds)
    data = json.loads((ROOT / "exporters/bertmobile_export/parity/thresholds.json").read_text("utf-8"))
    assert stated.keys() == data.keys()
    for recipe, kinds in data.items():
        assert stated[recipe] == kinds["outputs"] | kinds["labels"] | kinds["values"]


def test_the_exit_codes_are_those_of_the_errors() -> None:
    stated = {
        name: int(number)
        for number, _, names in rows(section("docs/export.md", "Errors and exit codes"))
        for name in code(names)
    }
    kinds = [kind for kind in vars(bertmobile.errors).values() if inspect.isclass(kind)]
    assert stated == {kind.__name__: kind.exit_code for kind in kinds}


def test_the_tasks_have_the_architectures_and_outputs_that_the_table_says(card_config: ModelConfig) -> None:
    by_architecture = {}
    for task, architectures, outputs in rows(section("docs/export.md", "Tasks")):
        (name,) = code(task)
        by_architecture |= dict.fromkeys(code(architectures), name)
        wanted = plan.Plan("m", card_config, name, read_recipe("int8"), "tflite", (32,))
        assert [spec.name for spec in wanted.outputs] == code(outputs)
    assert by_architecture == TASK_BY_ARCHITECTURE


def test_the_manifest_table_has_every_field() -> None:
    stated = [name for row in rows(section("docs/bundle.md", "Manifest")) for name in code(row[0])]
    assert sorted(stated) == sorted(schema("manifest")["required"])


def test_the_metrics_table_has_every_field_of_an_output() -> None:
    stated = [name for row in rows(section("docs/parity.md", "Metrics")) for name in code(row[0])]
    output = schema("parity")["definitions"]["outputs"]["additionalProperties"]
    assert sorted(stated) == sorted(output["required"])


@pytest.mark.parametrize(
    ("page", "heading"), [("README.md", "What is in a bundle"), ("docs/bundle.md", "Files")]
)
def test_the_files_of_a_bundle_are_those_listed(page: str, heading: str, exports: Exports) -> None:
    made = [exports("feature-extraction", "int8", target=target).bundle for target in target_names()]
    made.append(exports("feature-extraction", "int8", target="onnx", ort=True).bundle)
    files = [{path.name for path in bundle.iterdir()} for bundle in made]
    stated = {name for row in rows(section(page, heading)) for name in code(row[0])}
    assert stated == set().union(*files)
    # What not every bundle has is the model and what belongs to it.
    always = set.intersection(*files)
    assert all(name.startswith(("model.", "required_operators.")) for name in stated - always)


@pytest.mark.parametrize("form", README_FORMS, ids=lambda form: "-".join(map(str, form.values())))
def test_the_readme_of_a_bundle_is_true(
    form: dict[str, Any],
    exports: Exports,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = exports(**form).bundle
    text = (bundle / "README.md").read_text("utf-8")
    manifest = read_manifest(bundle)
    listed = {name for row in rows(text.split("## On a computer")[0]) for name in code(row[0])}
    assert listed == {path.name for path in bundle.iterdir()} - {"README.md", "manifest.json"}
    tensors = re.findall(r"^   - `(\w+)` (int\d+) ", text, re.M)
    assert tensors == [(spec.name, spec.dtype) for spec in manifest.inputs]
    assert all(f"`{spec.name}` {spec.dtype}" in text for spec in manifest.outputs)
    ((*_, run),) = [
        block.content.splitlines() for block in blocks(bundle / "README.md") if block.language == "sh"
    ]
    assert f"pip install 'bertmobile[{manifest.target}]'" in text
    assert (
        ("tasks-text" in text)
        == (f'"bundles/{bundle.name}/{manifest.model_file}"' in text)
        == ("mediapipe" in form)
    )
    monkeypatch.chdir(bundle)
    assert run_here(parse(run), bundle, monkeypatch) == 0
    assert capsys.readouterr().out.strip()
    assert not re.search(r"\n\n\n|[{}]{2}|[{]%| $", text, re.M)


def test_the_arguments_of_load_are_those_of_its_table() -> None:
    stated = [code(row[0])[0] for row in rows(section("docs/runtime.md", "Loading"))]
    assert stated == list(inspect.signature(bertmobile.load).parameters)


def test_the_options_of_question_answering_are_those_of_its_table() -> None:
    table = rows(section("docs/runtime.md", "question-answering"))
    stated = {code(row[0])[0]: row[1].strip("`") for row in table}
    parameters = inspect.signature(QuestionAnswering.answer).parameters.values()
    defaults = {p.name: str(p.default) for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert defaults.pop("doc_stride") == "None"
    assert stated.pop("doc_stride").startswith(f"{DEFAULT_STRIDE},")
    assert stated == defaults


@pytest.mark.parametrize(
    ("heading", "task"),
    [("token-classification", TokenClassification), ("Zero-shot classification", ZeroShotClassification)],
)
def test_the_options_of_a_task_are_those_of_its_table(heading: str, task: type) -> None:
    parameters = inspect.signature(task.answer).parameters.values()
    stated = [code(row[0])[0] for row in rows(section("docs/runtime.md", heading))]
    assert stated == [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


LENGTHS = ",".join(map(str, plan.DEFAULT_LENGTHS))
STATED = [
    ("README.md", f"the default is `{bertmobile_export.cli.export.DEFAULT_MODEL}`"),
    ("README.md", "`onnxruntime` is pinned to 1.28"),
    ("docs/dependencies.md", "`onnxruntime` stays at 1.28"),
    ("docs/export.md", f"Default `{bertmobile_export.cli.export.DEFAULT_MODEL}`"),
    ("docs/export.md", f"Default {LENGTHS},"),
    ("docs/export.md", f"at least {plan.SHORTEST} "),
    ("docs/export.md", f"{texts.CALIBRATION_TOTAL} built-in texts"),
    ("docs/export.md", f"more than {texts.LARGEST_FILE:,} lines"),
    ("docs/export.md", f"{size.LAYER_BYTES / 1000} kB for each layer and {size.SIGNATURE_BYTES // 1000} kB"),
    ("docs/export.md", ", ".join(f"`{act}`" for act in HIDDEN_ACTS[:-1]) + f" or `{HIDDEN_ACTS[-1]}`"),
    ("docs/parity.md", f"{texts.TOTAL}, divided among the buckets"),
    ("docs/parity.md", f"at least {texts.PER_BUCKET} for each bucket"),
    ("docs/parity.md", f"more than {texts.LARGEST_FILE:,} lines"),
    ("docs/parity.md", f"at least {metrics.SHORT} of the quadratic mean"),
    ("docs/bundle.md", f"({golden.CASES} or more"),
    ("docs/bundle.md", f"at least {golden.SMALLEST_MAX_ABS},"),
    ("docs/quantization.md", f"less than {equalisation.LEAST_GAIN:.0%}".replace("%", " %") + " of the error"),
    ("docs/quantization.md", f"at most about {equalisation.TOKENS:,} tokens"),
    ("docs/export.md", "the lowest iOS version, {}, {} or {}.".format(*IOS_VERSIONS)),
    ("docs/export.md", f"Default {plan.NEWEST_IOS};"),
    ("docs/export.md", f"Default {LENGTHS}, or {plan.SINGLE_LENGTH} where a file holds only one,"),
    ("docs/export.md", f"one before iOS {plan.ENUMERATED_LENGTHS_IOS} "),
    ("docs/coreml.md", f"int32 [1, {plan.MASK_SLOTS}]"),
    ("docs/onnx.md", f"int64 [batch, {plan.MASK_SLOTS}]"),
    ("docs/tflite.md", f"aligned to {flatbuffer.ALIGNMENT} bytes"),
    ("docs/tflite.md", f"for anything above {flatbuffer.INLINE_BYTES:,} bytes"),
    ("docs/tflite.md", f"int32 [1, {plan.MASK_SLOTS}]"),
    ("docs/architecture.md", f"The mask value is {MASKED_SCORE:.0f}."),
]  # fmt: skip


@pytest.mark.parametrize(("page", "statement"), STATED)
def test_a_number_in_the_docs_is_that_of_the_code(page: str, statement: str) -> None:
    assert statement in " ".join((ROOT / page).read_text("utf-8").split())


def test_five_slots_are_what_a_fill_mask_bundle_has() -> None:
    assert plan.MASK_SLOTS == 5
    for page in ("docs/export.md", "docs/runtime.md"):
        assert "five slots" in (ROOT / page).read_text("utf-8")


def schema(name: str) -> dict[str, Any]:
    path = ROOT / "runtime_py/bertmobile/schemas" / f"{name}.schema.json"
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_json_examples_fit_their_schemas(page: Path, exports: Exports) -> None:
    for block in blocks(page):
        if block.language != "json":
            continue
        document = json.loads(block.content)
        name = block.notes.get("schema") or block.notes["part of"]
        if "part of" in block.notes:
            whole = exports("feature-extraction", "int8").bundle / f"{name}.json"
            document = {**json.loads(whole.read_text("utf-8")), **document}
        validate(document, name, source=page.name, error=bertmobile.BertMobileError)


def test_every_direct_dependency_has_its_reason() -> None:
    named = code((ROOT / "docs/dependencies.md").read_text("utf-8"))
    project = pyproject()
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in wanted} - {"bertmobile"}
    assert names <= set(named)


def test_the_make_targets_of_the_docs_are_those_of_the_makefile() -> None:
    stated = [code(row[0])[0] for row in rows(section("docs/development.md", "Set-up"))]
    assert set(stated) == {f"make {target}" for target in make_targets()}


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    versions = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert versions[0] == pyproject()["version"]
