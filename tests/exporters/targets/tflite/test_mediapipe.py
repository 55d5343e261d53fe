import importlib.util
import json
import random
import string
import sys
import warnings
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import bertmobile
from bertmobile.errors import UsageError
from bertmobile_export.checkpoint.config import ModelConfig
from bertmobile_export.checkpoint.sentence_transformers import Pooling, SentenceEmbedding
from bertmobile_export.cli.export import main
from bertmobile_export.export import Request, Result, export, make_plan
from bertmobile_export.plan import SINGLE_LENGTH
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets.tflite import buckets, flatbuffer, mediapipe, metadata
from bertmobile_export.targets.tflite.size import predict_bytes
from tests.checkpoints import write_tokenizer
from tests.exporters.configs import make_config
from tests.exports import LABELS, Exports, run_offline, small_checkpoint
from tests.runtime_py.helpers import tokenizer_folder

from .conversions import Converted

CLIENT = Path(__file__).with_name("mediapipe_client.py")
# MediaPipe has a LiteRT of its own, of another build: the same operators, rounded a little otherwise.
SCORE_TOLERANCE = 1e-5
SMALLEST_COSINE = 0.99999
# A classifier whose labels may hold together.
MULTI_LABEL = {"problem_type": "multi_label_classification"}

Answers = Callable[[Path, list[str]], Any]

PROMPTED = SentenceEmbedding(prompts={"query": "query: "}, default_prompt="query")
PROMPTLESS = SentenceEmbedding(Pooling(include_prompt=False))


def written(count: int = 120) -> list[str]:
    """Built-in sentences in ASCII."""
    lines = resources.files("bertmobile_export.texts").joinpath("parity.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and line.isascii()][:count]


def scrambled(count: int = 120) -> list[str]:
    """Printable ASCII and white space in any order, some of it longer than the bundle's one length."""
    chooser = random.Random(7)
    letters = string.ascii_letters * 4 + string.digits + string.punctuation + " " * 40 + "\t\n\r"
    lengths = (chooser.choice((3, 20, 80, 400)) for _ in range(count))
    return ["".join(chooser.choices(letters, k=length)) for length in lengths]


TEXTS = [*written(), *scrambled(), "", "  ", "A" * 100, "a" * 101]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """(bundle, texts) -> what MediaPipe answers, in a process that has no network."""
    nothing = run_offline([sys.executable, "-S", "-c", ""], tmp_path_factory.mktemp("namespace") / "run")
    if nothing.unroutable is None:
        pytest.skip("no network namespace may be made here, and MediaPipe would report its use")

    def ask(bundle: Path, texts: list[str]) -> Any:
        folder = tmp_path_factory.mktemp("client")
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        task = json.loads((bundle / "manifest.json").read_text("utf-8"))["task"]
        command = [sys.executable, CLIENT, task, bundle / "model.tflite", folder / "texts.json"]
        done = run_offline(command, folder / "run").done
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        assert len(answers) == len(texts)
        return answers

    return ask


def scores(bundle: Path, texts: list[str]) -> list[dict[str, float]]:
    with bertmobile.load(bundle) as model, warnings.catch_warnings():
        warnings.simplefilter("ignore", bertmobile.TruncationWarning)
        return [{row["label"]: row["score"] for row in model(text, top_k=None)} for text in texts]


def vectors(bundle: Path, texts: list[str]) -> Any:
    with bertmobile.load(bundle) as model, warnings.catch_warnings():
        warnings.simplefilter("ignore", bertmobile.TruncationWarning)
        return model.embed(texts)


def cosines(a: Any, b: Any) -> Any:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def classifier(exports: Exports, recipe: str = "float32", **checkpoint: Any) -> Result:
    # The ranks of a tiny random classifier are as close as its labels; the scores are what is compared here.
    return exports("text-classification", recipe, checkpoint=checkpoint, mediapipe=True, untrained=True)


def embedder(exports: Exports) -> Result:
    return exports("feature-extraction", "int8", mediapipe=True)


# --- MediaPipe itself


@pytest.mark.parametrize(
    ("recipe", "checkpoint"),
    [
        pytest.param("float32", {}, id="float32"),
        pytest.param("int8", MULTI_LABEL, id="int8-multi-label", marks=pytest.mark.slow),
    ],
)
def test_mediapipes_classifier_gives_the_scores_of_our_runtime(
    exports: Exports, client: Answers, recipe: str, checkpoint: dict[str, Any]
) -> None:
    bundle = classifier(exports, recipe, **checkpoint).bundle
    expected = scores(bundle, TEXTS)
    for (shown, hidden), ours in zip(client(bundle, TEXTS), expected, strict=True):
        assert shown == pytest.approx(ours, abs=SCORE_TOLERANCE)
        assert hidden == {}
    totals = [sum(ours.values()) for ours in expected]
    assert (max(totals) == pytest.approx(1.0)) is (checkpoint != MULTI_LABEL)
    assert set(expected[0]) == set(LABELS["text-classification"])
    assert np.std([ours["good"] for ours in expected]) > 1e-3


@pytest.mark.slow
def test_mediapipes_embedder_gives_the_vectors_of_our_runtime(exports: Exports, client: Answers) -> None:
    bundle = embedder(exports).bundle
    theirs = np.array(client(bundle, TEXTS))[:, 0]
    ours = vectors(bundle, TEXTS)
    assert theirs.shape == ours.shape
    assert cosines(theirs, ours).min() > SMALLEST_COSINE
    assert np.std(ours, axis=0).max() > 0.01


def test_mediapipe_splits_other_text_otherwise_as_the_docs_say(exports: Exports, client: Answers) -> None:
    bundle = embedder(exports).bundle
    texts = ["the café", "ÉTÉ", "cold\xa0water", "a [MASK] of rain", "a\x0bb"]
    theirs = np.array(client(bundle, texts))[:, 0]
    assert cosines(theirs, vectors(bundle, texts)).max() < SMALLEST_COSINE


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["float32", "float16", "int8", "int8-static"])
def test_mediapipes_classifier_gives_the_scores_of_every_recipe(
    exports: Exports, client: Answers, recipe: str
) -> None:
    bundle = classifier(exports, recipe).bundle
    for (shown, _), ours in zip(client(bundle, TEXTS), scores(bundle, TEXTS), strict=True):
        assert shown == pytest.approx(ours, abs=SCORE_TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_mediapipes_embedder_gives_the_vectors_of_a_real_encoder(
    client: Answers, tmp_path: Path, recipe: str
) -> None:
    request = Request(str(tokenizer_folder()), "tflite", read_recipe(recipe), mediapipe=True, output=tmp_path)
    result = export(request)
    assert result.failures == () and result.plan.lengths == (SINGLE_LENGTH,)
    theirs, ours = np.array(client(result.bundle, TEXTS))[:, 0], vectors(result.bundle, TEXTS)
    assert cosines(theirs, ours).min() > SMALLEST_COSINE
    assert predict_bytes(result.plan) == pytest.approx(result.bytes, rel=0.03)


# --- the bundle


def test_our_own_outputs_are_those_of_any_bundle_and_the_probabilities_come_on_top(exports: Exports) -> None:
    with bertmobile.load(classifier(exports).bundle) as model:
        assert [spec.name for spec in model.manifest.outputs] == ["logits", "probabilities"]
        outputs = model.run(model.encode("a good film").inputs)
        by_label = {row["label"]: row["score"] for row in model("a good film", top_k=None)}
    ours = [by_label[label] for label in LABELS["text-classification"]]
    assert outputs["probabilities"][0] == pytest.approx(ours, abs=1e-6)
    assert np.abs(outputs["logits"][0] - outputs["probabilities"][0]).max() > 0.01


def test_parity_judges_both_the_logits_and_the_probabilities(exports: Exports) -> None:
    outputs = classifier(exports).parity["outputs"]
    assert set(outputs) == {"logits", "probabilities"}
    assert outputs["logits"]["top1"] is not None
    # A softmax of probabilities would be neither a rank nor a divergence that anybody asked for.
    assert outputs["probabilities"]["kl_mean"] is None
    assert all(numbers["max_abs"] < 1e-4 for numbers in outputs.values())


def test_the_option_is_recorded_and_named(exports: Exports) -> None:
    result = classifier(exports)
    manifest = json.loads((result.bundle / "manifest.json").read_text("utf-8"))
    assert manifest["options"] == {"mediapipe": True}
    assert result.bundle.name.endswith("-text-classification-float32-mediapipe.tflite")


def test_the_same_model_gives_the_same_bytes(converted: Callable[..., Converted], tmp_path: Path) -> None:
    network = converted("text-classification")
    plan = planned(network.config, lengths=(16,))
    paths = [tmp_path / name for name in ("first", "second")]
    for path in paths:
        model = flatbuffer.read(network.content)
        buckets.specialise(model, network.traced, plan.lengths)
        mediapipe.adapt(model, plan)
        flatbuffer.write(model, path)
        mediapipe.pack_files(path, plan, b"[PAD]\n[UNK]\n")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        assert archive.testzip() is None


def test_the_readme_of_the_bundle_names_mediapipe(exports: Exports) -> None:
    assert "TextClassifier" in (classifier(exports).bundle / "README.md").read_text("utf-8")
    assert "TextEmbedder" in (embedder(exports).bundle / "README.md").read_text("utf-8")
    plain = exports("feature-extraction", "int8").bundle
    assert "MediaPipe" not in (plain / "README.md").read_text("utf-8")


def test_the_exporter_needs_no_mediapipe(exports: Exports) -> None:
    assert embedder(exports).bundle.exists()
    assert "mediapipe" not in sys.modules


# --- the file


def official_schema() -> Any:
    """The schema's classes, without the package around them and its native library."""
    folder = importlib.util.find_spec("mediapipe").submodule_search_locations[0]
    path = Path(folder, "tasks", "metadata", "metadata_schema_py_generated.py")
    spec = importlib.util.spec_from_file_location("metadata_schema", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_metadata(path: Path) -> tuple[Any, Any]:
    """The metadata as the official classes read it, and the model's subgraph."""
    content = path.read_bytes()
    model = schema.Model.GetRootAs(content)
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    (entry,) = [entry for entry in entries if entry.Name() == metadata.ENTRY.encode()]
    raw = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert raw[4:8] == metadata.FILE_IDENTIFIER
    return official_schema().ModelMetadataT.InitFromObj(
        official_schema().ModelMetadata.GetRootAs(raw)
    ), flatbuffer.read(content)


def test_the_official_schema_reads_our_metadata(exports: Exports) -> None:
    described, model = read_metadata(classifier(exports).bundle / "model.tflite")
    (subgraph,) = described.subgraphMetadata
    official = official_schema()
    assert described.minParserVersion == metadata.MIN_PARSER_VERSION.encode()

    assert len(model.subgraphs) == 1
    by_index = {entry.tensorIndex: entry.name for entry in model.signatureDefs[0].inputs}
    roles = {b"input_ids": b"ids", b"attention_mask": b"mask", b"token_type_ids": b"segment_ids"}
    in_order = [roles[by_index[index]] for index in model.subgraphs[0].inputs]
    assert [tensor.name for tensor in subgraph.inputTensorMetadata] == in_order

    (tokenizer,) = subgraph.inputProcessUnits
    assert tokenizer.optionsType == official.ProcessUnitOptions.BertTokenizerOptions
    (vocabulary,) = tokenizer.options.vocabFile
    assert (vocabulary.name, vocabulary.type) == (b"vocab.txt", official.AssociatedFileType.VOCABULARY)

    first, second = subgraph.outputTensorMetadata
    assert [first.name, second.name] == [b"probabilities", b"logits"]
    assert first.associatedFiles[0].type == official.AssociatedFileType.TENSOR_AXIS_LABELS
    assert first.processUnits is None
    (muted,) = second.processUnits
    assert muted.optionsType == official.ProcessUnitOptions.ScoreThresholdingOptions
    assert muted.options.globalScoreThreshold == np.finfo(np.float32).max


def test_vocabulary_and_labels_lie_uncompressed_and_undated_behind_the_model(exports: Exports) -> None:
    bundle = classifier(exports).bundle
    with zipfile.ZipFile(bundle / "model.tflite") as archive:
        assert archive.namelist() == ["vocab.txt", "labels.txt"]
        assert archive.read("vocab.txt") == (bundle / "vocab.txt").read_bytes()
        assert archive.read("labels.txt").decode().splitlines() == list(LABELS["text-classification"])
        for entry in archive.infolist():
            assert (entry.compress_type, entry.date_time) == (zipfile.ZIP_STORED, metadata.NO_DATE)


def test_large_metadata_stay_inside_the_flatbuffer_and_large_weights_outside(
    exports: Exports, tmp_path: Path
) -> None:
    model = flatbuffer.read((embedder(exports).bundle / "model.tflite").read_bytes())
    large = np.arange(8 * flatbuffer.INLINE_BYTES, dtype=np.int64).astype(np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"LARGE", flatbuffer.add_buffer(model, large)
    model.metadata.append(entry)
    flatbuffer.write(model, tmp_path / "model.tflite")
    written = schema.Model.GetRootAs((tmp_path / "model.tflite").read_bytes())
    buffers = [written.Buffers(i) for i in range(written.BuffersLength())]
    assert [buffer.DataLength() for buffer in buffers if buffer.DataLength() > flatbuffer.INLINE_BYTES] == [
        large.size
    ]
    assert any(buffer.Size() > flatbuffer.INLINE_BYTES for buffer in buffers)


# --- limits


def planned(config: ModelConfig | None = None, **request: Any) -> Any:
    fields = {"model": "m", "target": "tflite", "task": "text-classification", "mediapipe": True, **request}
    plan, _ = make_plan(Request(recipe=read_recipe("float32"), **fields), "m", config or make_config())
    return plan


@pytest.mark.parametrize(("positions", "length"), [(512, SINGLE_LENGTH), (64, 64)])
def test_without_lengths_there_is_the_one_that_mediapipe_can_take(positions: int, length: int) -> None:
    plan = planned(make_config(max_position_embeddings=positions))
    assert plan.lengths == (length,)
    assert plan.options == {"mediapipe": True}


def test_another_length_is_named_in_the_bundle() -> None:
    assert planned(lengths=(32,)).bundle_name == "m-text-classification-float32-mediapipe-seq32.tflite"


@pytest.mark.parametrize(
    ("message", "config", "request_"),
    [
        ("takes one length", {}, {"lengths": (32, 64)}),
        ("no task for fill-mask", {}, {"task": "fill-mask"}),
        ("no task for token-classification", {}, {"task": "token-classification"}),
        ("bare outputs .regression", {"problem_type": "regression"}, {}),
        ("bare outputs .torch.nn.Identity", {"recorded_activation": "torch.nn.Identity"}, {}),
        ("line break", {"labels": ("good", "b\nad")}, {}),
        ("label is empty", {"labels": ("good", "")}, {}),
        ("has a default prompt", {"embedding": PROMPTED}, {"task": "feature-extraction"}),
        ("leaves prompts out", {"embedding": PROMPTLESS}, {"task": "feature-extraction"}),
    ],
)
def test_what_mediapipe_cannot_run_is_a_usage_error(
    message: str, config: dict[str, Any], request_: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        planned(make_config(**config), **request_)
    assert any(remedy in str(caught.value) for remedy in ("leave", "give", "correct"))


@pytest.mark.parametrize("target", ["onnx", "coreml"])
def test_only_tflite_bundles_are_for_mediapipe(target: str) -> None:
    with pytest.raises(UsageError, match=f"--mediapipe means nothing for --target {target}; leave it out"):
        planned(target=target, task="feature-extraction")


def cased(folder: Path) -> Path:
    return small_checkpoint(folder / "model", "feature-extraction", cased=True)


def renamed(folder: Path) -> Path:
    path = small_checkpoint(folder / "model", "feature-extraction")
    tokens = (path / "vocab.txt").read_text("utf-8").replace("[CLS]", "<cls>").splitlines()
    write_tokenizer(path, tokens, cls_token="<cls>")
    return path


def with_a_token(folder: Path) -> Path:
    source = small_checkpoint(folder / "model", "feature-extraction")
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings["additional_special_tokens"] = ["[unused0]"]
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    return source


@pytest.mark.parametrize(
    ("make", "message"), [(cased, "cased"), (renamed, "<cls>"), (with_a_token, "[unused0]")]
)
def test_a_vocabulary_that_mediapipe_would_misuse_is_refused_before_anything_is_written(
    make: Callable[[Path], Path], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--target", "tflite", "--mediapipe", "--model", str(make(tmp_path)), "--output"]
    assert main([*command, str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and "leave --mediapipe out" in error
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_the_command_refuses_two_lengths(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(exports.checkpoint("feature-extraction"))
    command = ["--target", "tflite", "--mediapipe", "--seq-len", "16,32", "--dry-run", "--model", model]
    assert main(command) == 2
    assert "--seq-len 32" in capsys.readouterr().err
