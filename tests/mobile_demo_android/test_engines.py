"""Both engines of the Android demo run real bundles on a JVM, and answer what the Python runtime answers."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertmobile
from tests.conftest import Announce
from tests.exports import Exports
from tests.mobile_demo_android.downloads import Refused, run
from tests.mobile_demo_android.engines import Engines, adapted

# Text and pair, and below the options of a question.
TEXTS: dict[str, list[tuple[str, str | None]]] = {
    "fill-mask": [("the weather is [MASK] in paris", None), ("[MASK] and [MASK] are cities", None)],
    "next-sentence": [("the rain was cold", "they went home"), ("一 café", "in london?")],
    "text-classification": [("a good film", None), ("I hate it", "but they love it")],
    "token-classification": [("The street in London and Berlin", None), ("paris", None)],
    "question-answering": [("where was it", "it was in paris " + "and then they went home again " * 20)],
    "feature-extraction": [("the weather is warm", None), ("café 中国 " * 40, None)],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "fill-mask": {"top_k": 3},
    "text-classification": {"top_k": None},
    "token-classification": {"aggregation_strategy": "none", "ignore_labels": []},
    "question-answering": {"top_k": 2},
}
# What the tests in Kotlin open by name, beside a bundle for each task and target.
MORE: list[dict[str, Any]] = [
    {"recipe": "int8"},
    {"recipe": "int8", "target": "onnx"},
    {"recipe": "int8", "target": "onnx", "ort": True},
    {"recipe": "float16", "target": "onnx", "portable": True},
]
# 70 MB of weights, of which memory has room for less than half.
LARGE = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 8}
ROOM = 30_000_000


@pytest.fixture(scope="session")
def bundles(exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles, and beside each what the Python runtime answers."""
    folder = tmp_path_factory.mktemp("bundles")
    made = [exports(task, target=target) for task in TEXTS for target in ("tflite", "onnx")]
    made += [exports("feature-extraction", **form) for form in MORE]
    for result in made:
        with bertmobile.load(result.bundle) as model:
            name = result.bundle.name.removeprefix(f"tiny-{model.manifest.task}-")
            cases = "".join(f"{json.dumps(case)}\n" for case in _cases(model))
        shutil.copytree(result.bundle, folder / name)
        (folder / f"{name}.jsonl").write_text(cases, encoding="utf-8")
    return folder


def _cases(model: bertmobile.Model) -> Iterator[dict[str, Any]]:
    task = model.manifest.task
    options = OPTIONS.get(task, {})
    for text, pair in TEXTS[task]:
        answer = model(text if pair is None else (text, pair), **options)
        if task == "feature-extraction":
            states = np.asarray(answer, np.float32)
            answer = {"shape": states.shape, "values": states.ravel().tolist()}
        ids = None if task == "question-answering" else model.encode(text, pair).ids
        yield {"texts": [text, pair], "ids": ids, "options": options, "answer": answer}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bertmobile.TruncationWarning")
def test_both_engines_answer_as_python_does_and_live_as_an_app_needs_it(
    engines: Engines, bundles: Path, announce: Announce
) -> None:
    totals = engines.test(bundles)
    announce(f"engines: {totals}")
    assert totals.failed == 0, totals.said
    # Cases, golden answers and facts of each bundle, and the tests of the engines' lives.
    assert totals.passed > 90


@pytest.mark.slow
def test_a_model_that_memory_is_too_small_for_is_an_error_in_words_and_the_process_lives_on(
    engines: Engines, exports: Exports, bundles: Path
) -> None:
    small = bundles / "feature-extraction-int8.onnx"
    large = exports("feature-extraction", target="onnx", checkpoint=LARGE).bundle
    assert (large / "model.onnx").stat().st_size > 2 * ROOM
    first, peak = _opened(engines, small)
    assert first == "opened"
    limit = int(peak) * 1024 + ROOM
    *said, _ = _opened(engines, small, large, small, limit=limit)
    assert said == [
        "opened",
        "EngineException: no memory to load model.onnx; close other apps, or export a smaller model",
        "opened",
    ]


@pytest.mark.slow
def test_a_model_whose_inputs_find_no_memory_is_closed(engines: Engines, bundles: Path) -> None:
    # Its file stays mapped as long as its session is open.
    mapped = bundles / "feature-extraction-int8-ort.onnx"
    said, _ = _opened(engines, mapped, more=("-XX:MaxDirectMemorySize=16",))
    assert said == "EngineException: no memory to load model.ort; close other apps, or export a smaller model"


@pytest.mark.slow
def test_an_app_without_onnx_runtimes_library_says_why(engines: Engines, bundles: Path) -> None:
    # The last one wins.
    without = replace(
        engines, options=(*engines.options, "-Donnxruntime.native.onnxruntime.path=/nowhere/it.so")
    )
    said, _ = _opened(without, bundles / "feature-extraction-int8.onnx")
    assert said.startswith("EngineException: this app has no ONNX Runtime for this processor (")
    assert "/nowhere/it.so" in said and "null" not in said


def test_the_java_apis_library_is_put_to_the_installed_onnx_runtime_or_refused() -> None:
    # The hashes of these two versions, as linkers write them.
    library = b"libonnxruntime.so.1.17.0\0VERS_1.17.0\0" + bytes.fromhex("80ef7b02") + b"1.17.0\0"
    expected = b"libonnxruntime.so.1\0\0\0\0\0\0VERS_1.28.0\0" + bytes.fromhex("80fe7b02") + b"1.28.0\0"
    assert adapted(library, "1.28.0") == expected
    for other, installed in ((library, "1.9.0"), (b"another library", "1.28.0")):
        with pytest.raises(Refused, match="cannot be put to"):
            adapted(other, installed)


def _opened(
    engines: Engines, *bundles: Path, limit: int | None = None, more: tuple[str, ...] = ()
) -> list[str]:
    """What a process says of each bundle when it has so many bytes of addresses, and its most in KiB.

    Args:
        more: options of the JVM.
    """
    # Little that grows by itself, so that the model's share is what decides.
    options = (*more, "-XX:+UseSerialGC", "-XX:ReservedCodeCacheSize=32m", "-XX:CompressedClassSpaceSize=32m")
    command = engines.command("org.bertmobile.engine.NoMemoryKt", *bundles, options=options)
    limited = ["prlimit", f"--as={limit}"] if limit else []
    # An arena for each thread would take many addresses, and now more of them, now fewer.
    done = run("env", "MALLOC_ARENA_MAX=1", *limited, *command, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
