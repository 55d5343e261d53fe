import io
import json
import os
import subprocess
import sys

import pytest

import bertmobile.model
from bertmobile.cli import main

from .helpers import TESTS

LABELS = ("no", "yes")
WITH_HASH_ENGINE = """
import sys
import bertmobile.model
from bertmobile.cli import main
from runtime_py.helpers import HashEngine
bertmobile.model.open_engine = lambda folder, manifest, **options: HashEngine(manifest)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def stdin(monkeypatch):
    def give(content):
        data = content if isinstance(content, bytes) else content.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


@pytest.fixture
def classifier(bundle, hash_engine):
    return str(bundle("text-classification", labels=LABELS))


def test_a_text_prints_one_aligned_line_for_each_answer(capsys, bundle, hash_engine):
    assert main([str(bundle()), "a [MASK]", "--top-k", "3"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3 and err == ""
    assert len({line.index(line.split()[1]) for line in out.splitlines()}) == 1


def test_several_texts_are_headed_by_the_text(capsys, classifier):
    assert main([classifier, "first", "second"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["first", "second"]
    assert lines[1].startswith("  ")


def test_json_is_one_object_on_stdout(capsys, classifier):
    assert main([classifier, "first", "second", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "text-classification" and document["bundle"].startswith("tiny")
    assert [result["input"] for result in document["results"]] == ["first", "second"]
    assert document["results"][0]["output"][0]["label"] in LABELS


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_without_text_each_line_of_stdin_is_one(capsys, classifier, stdin, arguments):
    stdin("first\n\nnaïve 東京\r\n")
    assert main([classifier, *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [result["input"] for result in document["results"]] == ["first", "naïve 東京"]


def test_json_lines_take_strings_and_objects_and_answer_line_by_line(capsys, classifier, stdin):
    stdin('"first"\n\n{"text": "a", "text_pair": "b"}\n')
    assert main([classifier, "--json-lines"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with bertmobile.model.load(classifier) as model:
        assert answers == [model("first"), model(("a", "b"))]


def test_json_lines_stream(bundle):
    """The answer to a line comes before the next line is sent."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_HASH_ENGINE, str(bundle()), "--json-lines"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join([str(TESTS), *sys.path])},
        text=True,
    )
    for text in ("a [MASK]", "another [MASK]"):
        process.stdin.write(json.dumps(text) + "\n")
        process.stdin.flush()
        assert len(json.loads(process.stdout.readline())) == 5
    process.communicate()
    assert process.returncode == 0


def test_a_closed_pipe_ends_quietly(bundle):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", WITH_HASH_ENGINE, str(bundle()), "a [MASK]"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join([str(TESTS), *sys.path])},
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('"fine"\n{broken\n', "line 2 is not JSON"),
        ("[1, 2]\n", "line 1 must be a JSON string or object, not"),
        ('{"txt": "a"}\n', "line 1: the task takes"),
        (b'"\xff"\n', "line 1 is not UTF-8"),
        ('"lone \\ud800"\n', "line 1: a text holds lone surrogates"),
    ],
)
def test_a_bad_line_is_a_usage_error_with_its_number(capsys, classifier, stdin, content, message):
    stdin(content)
    assert main([classifier, "--json-lines"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_pair_is_the_second_text(capsys, classifier):
    assert main([classifier, "a", "--pair", "b", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["results"][0]["input"] == {"text": "a", "text_pair": "b"}


def test_question_and_context_may_come_as_options_or_as_text(capsys, bundle, hash_engine, stdin):
    folder = str(bundle("question-answering"))
    answers = []
    for arguments in (
        ["--question", "who?", "--context", "Ada did."],
        ["--question", "who?", "Ada did."],
        ["--context", "Ada did.", "who?"],
    ):
        assert main([folder, *arguments, "--json"]) == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert result["input"] == {"question": "who?", "context": "Ada did."}
        answers.append(result["output"])
    assert answers[0] == answers[1] == answers[2]


def test_aggregation_is_passed_on(capsys, bundle, hash_engine):
    assert main([str(bundle("token-classification", labels=("O", "X"))), "Ada met", "--aggregation", "max",
                 "--json"]) == 0  # fmt: skip
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert all("entity_group" in entity for entity in result["output"])


def test_stride_is_passed_on(capsys, bundle, hash_engine):
    folder = str(bundle("token-classification", labels=("O", "X")))
    assert main([folder, "word " * 100, "--aggregation", "simple", "--stride", "9", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    with bertmobile.model.load(folder) as model:
        assert result["output"] == model("word " * 100, aggregation_strategy="simple", stride=9)


def test_labels_of_ones_own_are_judged_by_entailment(capsys, bundle, hash_engine):
    folder = str(bundle("text-classification", labels=("entailment", "contradiction")))
    options = ["--candidate-labels", "rain, sun", "--multi-label", "--hypothesis-template", "It is {}."]
    assert main([folder, "It rained.", *options, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    with bertmobile.model.load(folder) as model:
        assert result["output"] == model(
            "It rained.", ["rain", "sun"], multi_label=True, hypothesis_template="It is {}."
        )
    assert main([folder, "It rained.", *options]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"rain", "sun"}


def test_embed_prints_the_vector(capsys, bundle, hash_engine):
    folder = str(bundle("feature-extraction"))
    assert main([folder, "--embed", "text"]) == 0
    human = [float(value) for value in capsys.readouterr().out.split()]
    assert main([folder, "--embed", "text", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert len(human) == 32 and human == pytest.approx(result["output"], rel=1e-4)


def test_prompt_name_puts_a_prompt_before_the_text(capsys, bundle, hash_engine):
    folder = str(bundle("feature-extraction", prompts={"query": "who: "}))
    assert main([folder, "--embed", "sang", "--prompt-name", "query", "--json"]) == 0
    (prompted,) = json.loads(capsys.readouterr().out)["results"]
    assert main([folder, "--embed", "who: sang", "--json"]) == 0
    (by_hand,) = json.loads(capsys.readouterr().out)["results"]
    assert prompted["output"] == by_hand["output"]
    assert main([folder, "--embed", "sang", "--prompt-name", "tale"]) == 2
    assert "no prompt is called 'tale'; known: query" in capsys.readouterr().err


def test_threads_and_cache_folder_reach_the_engine(classifier, hash_engine, tmp_path):
    assert main([classifier, "text", "--threads", "2", "--cache-dir", str(tmp_path)]) == 0
    assert hash_engine[0].options == {"engine": None, "threads": 2, "cache_dir": tmp_path}


@pytest.mark.filterwarnings("default")
def test_a_cut_text_is_one_warning_line_on_stderr(capsys, classifier):
    assert main([classifier, "word " * 100, "word " * 100]) == 0
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 2 and all(line.startswith("warning: 62 of 100 tokens kept") for line in err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["text", "--nonsense"],
        ["text", "--top-k", "0"],
        ["text", "--json", "--json-lines"],
        ["text", "--json-lines"],
        ["text", "--pair", "b", "--question", "c"],
        ["text", "--question", "b", "--context", "c"],
        ["text", "--question", "b"],
        ["text", "--aggregation", "max"],
        ["text", "--candidate-labels", "a, b"],
        ["text", "--multi-label"],
        ["text", "--embed"],
        ["text", "--embed", "--top-k", "3"],
        ["text", "--prompt-name", "query"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_with_one_line(capsys, classifier, arguments):
    assert main([classifier, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1


def test_no_bundle_exits_2_and_a_folder_that_is_none_exits_1(capsys, tmp_path):
    assert main([]) == 2
    assert main([str(tmp_path), "text"]) == 1
    assert "not a bundle" in capsys.readouterr().err


def test_an_unverified_bundle_exits_1_unless_allowed(capsys, bundle, hash_engine):
    folder = str(bundle(verdict="failed"))
    assert main([folder, "a [MASK]"]) == 1
    assert "--allow-unverified" in capsys.readouterr().err
    assert main([folder, "a [MASK]", "--allow-unverified"]) == 0


def test_help_shows_examples_line_by_line(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert '\n      bertmobile-run minilm.tflite --embed "a sentence"\n' in out
