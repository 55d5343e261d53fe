"""The whole road on tiny checkpoints: real conversion, a real bundle, and answers like the source's."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import bertmobile_export.export as road
from bertmobile import BundleError, Model, UsageError, load
from bertmobile.bundle import verify_bundle
from bertmobile.cli import main as run_main
from bertmobile.manifest import read_manifest
from bertmobile.schemas import validate
from bertmobile.tokenization import Tokenization
from bertmobile_export import model_file
from bertmobile_export.checkpoint.config import read_config
from bertmobile_export.export import Request, Result, export, plan_export
from bertmobile_export.plan import default_lengths
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets.tflite import TARGET
from bertmobile_export.threads import one_thread_each
from tests.checkpoints import MODELS
from tests.conftest import Exported, ExportedAll
from tests.exports import COARSE, LABELS, Exports, here
from tests.messages import error_of
from tests.runtime_py.torch_engine import TorchEngine

TASKS = tuple(MODELS)
BUNDLES: list[Any] = [
    # Where other tests have no use for the bundle, its conversion alone takes seconds.
    *(
        pytest.param(
            task,
            "float32",
            "tflite",
            marks=() if task in ("fill-mask", "feature-extraction") else pytest.mark.slow,
        )
        for task in TASKS
    ),
    pytest.param("fill-mask", "int8", "tflite", marks=pytest.mark.slow),
    ("feature-extraction", "int8", "tflite"),
    pytest.param("feature-extraction", "int8-static", "tflite", marks=pytest.mark.slow),
    ("fill-mask", "int8", "onnx"),
    ("question-answering", "float16", "onnx"),
    ("text-classification", "int8-static", "onnx"),
    ("fill-mask", "int8", "coreml"),
    pytest.param("token-classification", "float16", "coreml", marks=pytest.mark.slow),
    pytest.param("feature-extraction", "int8-static", "coreml", marks=pytest.mark.slow),
]
LONGEST = 64
TEXTS = [
    "The people of London found the land.",
    "warm rain, a small house; and the sea?",
    "Paris",
    "say how the old man came home " * 4,
]
QUESTION = ("Who came home?", "The old man came home late; the young boy did not.")
SHARED_FILES = {
    "vocab.txt", "tokenizer.json", "tokenizer_config.json", "config.json", "parity.json", "golden.json",
    "README.md", "manifest.json",
}  # fmt: skip
PACKAGE = "model.mlpackage"
MODEL_FILES = {
    "tflite": {"model.tflite"},
    "onnx": {"model.onnx"},
    "coreml": {
        f"{PACKAGE}/Manifest.json",
        f"{PACKAGE}/Data/com.apple.CoreML/model.mlmodel",
        f"{PACKAGE}/Data/com.apple.CoreML/weights/weight.bin",
    },
}
FILES = SHARED_FILES | MODEL_FILES["tflite"]
ENGINES = {
    "tflite": ("litert", []),
    "onnx": ("onnxruntime", []),
    "coreml": ("mlprogram-evaluator", ["mlprogram-evaluator-fp32"]),
}
COSINE = {"float32": 1 - 1e-9, "int8": 0.999, "int8-static": 0.995}


def request(exports: Exports, task: str, output: Path, **more: Any) -> Request:
    fields = {"recipe": read_recipe("float32"), **more}
    return Request(model=str(exports.checkpoint(task)), target="tflite", output=output, **fields)


def source_pipeline(exports: Exports, task: str) -> Any:
    folder = exports.checkpoint(task)
    return transformers.pipeline(
        task,
        model=MODELS[task].from_pretrained(folder),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
        device="cpu",
    )


def same_answers(actual: Any, expected: Any, tolerance: float) -> None:
    """Two structures of dictionaries, lists, strings and numbers."""
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for key, value in expected.items():
            same_answers(actual[key], value, tolerance)
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            same_answers(one, other, tolerance)
    elif isinstance(expected, float | np.floating):
        assert actual == pytest.approx(float(expected), abs=tolerance)
    else:
        assert actual == expected


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def ready_made(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what happens around a conversion: its result is copied instead of made again."""
    made = exports("feature-extraction").bundle / "model.tflite"
    monkeypatch.setattr(
        TARGET,
        "write",
        lambda plan, network, samples, path, tokenizer: shutil.copy(made, path),
        raising=False,
    )


@pytest.mark.parametrize(("task", "recipe", "target"), BUNDLES)
def test_a_bundle_is_complete_verified_and_describes_itself(
    exports: Exports, task: str, recipe: str, target: str
) -> None:
    result = exports(task, recipe, target=target)
    folder = result.bundle
    assert result.failures == () and result.parity["verdict"] == "passed"
    assert folder.name == f"tiny-{task}-{task}-{recipe}.{target}"
    document = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    validate(document, "manifest", source="manifest", error=BundleError)
    manifest = read_manifest(folder)
    verify_bundle(folder, manifest, allow_unverified=False)
    assert manifest.verdict == "passed" and manifest.name == folder.name
    assert manifest.task == task and manifest.recipe == read_recipe(recipe).document
    assert manifest.options == {} and manifest.lengths == (32, 64)

    files = contents(folder)
    assert files.keys() == SHARED_FILES | MODEL_FILES[target]
    assert manifest.files.keys() == files.keys() - {"manifest.json"}
    for name, entry in manifest.files.items():
        assert entry.bytes == len(files[name]) and entry.sha256 == hashlib.sha256(files[name]).hexdigest()
    assert result.bytes == manifest.model_bytes == sum(len(files[name]) for name in MODEL_FILES[target])
    assert manifest.dynamic == (target == "onnx")
    assert {spec.dtype for spec in manifest.inputs} == {"int64" if target == "onnx" else "int32"}

    assert manifest.source.model == f"tiny-{task}" and manifest.source.revision is None
    assert manifest.source.trained
    source = exports.checkpoint(task)
    for place in (source, source.parent, exports.folder):
        for name, content in files.items():
            assert str(place).encode() not in content, name
    assert manifest.labels == LABELS.get(task, ())


@pytest.mark.parametrize(("task", "recipe", "target"), BUNDLES)
def test_the_reports_fit_their_schemas_and_hold_enough_texts(
    exports: Exports, task: str, recipe: str, target: str
) -> None:
    result = exports(task, recipe, target=target)
    parity = json.loads((result.bundle / "parity.json").read_text(encoding="utf-8"))
    golden = json.loads((result.bundle / "golden.json").read_text(encoding="utf-8"))
    assert parity == result.parity
    validate(parity, "parity", source="parity.json", error=BundleError)
    validate(golden, "golden", source="golden.json", error=BundleError)
    manifest = read_manifest(result.bundle)
    assert parity["outputs"].keys() == golden["tolerance"].keys() == {spec.name for spec in manifest.outputs}
    assert parity["texts"]["source"] == "builtin" and parity["texts"]["count"] >= 128
    assert parity["texts"]["per_bucket"].keys() == {"32", "64"}
    assert min(parity["texts"]["per_bucket"].values()) >= 16
    engine, beside = ENGINES[target]
    assert parity["engine"]["name"] == engine and parity["judged_as"] == recipe
    assert list(parity["also"]) == beside
    assert all(found["outputs"].keys() == parity["outputs"].keys() for found in parity["also"].values())
    assert parity["reference"]["weights_sha256"] == manifest.source.weights_sha256
    assert len(golden["cases"]) >= 8 and {case["bucket"] for case in golden["cases"]} == {32, 64}


@pytest.mark.parametrize(("task", "recipe", "target"), BUNDLES)
def test_a_device_that_follows_the_golden_file_finds_the_bundle_right(
    exports: Exports, task: str, recipe: str, target: str
) -> None:
    folder = exports(task, recipe, target=target).bundle
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    with load(folder) as model:
        pad = model.manifest.tokenizer.special_tokens["pad"].id
        for case in golden["cases"]:
            encoded = model.encode(case["text"], case["pair"])
            assert encoded.ids == case["inputs"]["input_ids"] and len(encoded) == case["tokens"]
            length = case["tokens"] if model.manifest.dynamic else case["bucket"]
            inputs = {}
            for name, values in case["inputs"].items():
                room = 0 if name == "mask_positions" else length - len(values)
                fill = pad if name == "input_ids" else 0
                inputs[name] = np.array([values + [fill] * room], np.int32)
            outputs = model.run(inputs)
            for name, wanted in case["outputs"].items():
                actual = outputs[name][0].ravel()[wanted["indices"]]
                tolerance = golden["tolerance"][name]
                np.testing.assert_allclose(actual, wanted["engine"], rtol=0, atol=tolerance["max_abs"])
                reference = np.array(wanted["reference"])
                # A few values of a whole output: their cosine is looser than the output's.
                assert cosine(actual, reference) > 0.98


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_fill_mask_proposes_the_tokens_of_the_pipeline(exports: Exports, recipe: str) -> None:
    pipeline = source_pipeline(exports, "fill-mask")
    texts = ["The [MASK] of London found the land.", "warm [MASK], a small house; and the [MASK]?", "[MASK]"]
    with load(exports("fill-mask", recipe).bundle) as model:
        for text in texts:
            actual, expected = model(text), pipeline(text)
            if recipe == "float32":
                same_answers(actual, expected, 1e-5)
                continue
            # At 8 bits neighbours may change places.
            one, two = ([row] if isinstance(row[0], dict) else row for row in (actual, expected))
            for mine, theirs in zip(one, two, strict=True):
                assert mine[0]["score"] == pytest.approx(theirs[0]["score"], rel=0.15)
                assert len({row["token"] for row in mine} & {row["token"] for row in theirs}) >= 3


def test_text_classification_answers_like_the_pipeline(exports: Exports) -> None:
    pipeline = source_pipeline(exports, "text-classification")
    with load(exports("text-classification").bundle) as model:
        for text in TEXTS:
            same_answers(
                model(text, top_k=3), pipeline(text, top_k=3, truncation=True, max_length=LONGEST), 1e-5
            )
            same_answers(model(text), pipeline(text, truncation=True, max_length=LONGEST), 1e-5)
        pair = {"text": TEXTS[0], "text_pair": TEXTS[1]}
        same_answers(model(pair, top_k=3), pipeline(pair, top_k=3), 1e-5)


@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
def test_token_classification_finds_the_entities_of_the_pipeline(exports: Exports, aggregation: str) -> None:
    pipeline = source_pipeline(exports, "token-classification")
    with load(exports("token-classification").bundle) as model:
        found = 0
        for text in TEXTS:
            expected = pipeline(text, aggregation_strategy=aggregation)
            same_answers(model(text, aggregation_strategy=aggregation), expected, 1e-5)
            found += len(expected)
    assert found > 0


def cosine(one: Any, other: Any) -> float:
    a, b = (np.ravel(values).astype(np.float64) for values in (one, other))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("recipe", ["float32", "int8", pytest.param("int8-static", marks=pytest.mark.slow)])
def test_embeddings_are_those_of_the_pipeline(exports: Exports, recipe: str) -> None:
    pipeline = source_pipeline(exports, "feature-extraction")
    with load(exports("feature-extraction", recipe).bundle) as model:
        for text in TEXTS:
            states = np.array(pipeline(text, truncation=True, max_length=LONGEST)[0])
            ours = model(text, return_tensors=True)
            assert ours.shape == (1, *states.shape)
            assert min(map(cosine, ours[0], states)) >= COSINE[recipe]
            assert cosine(model.embed(text)[0], states.mean(0)) >= COSINE[recipe]
            if recipe == "float32":
                np.testing.assert_allclose(ours[0], states, rtol=0, atol=1e-4)
                np.testing.assert_allclose(model.embed(text)[0], states.mean(0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("task", ["question-answering", "next-sentence"])
def test_tasks_without_a_pipeline_answer_like_the_source_network(exports: Exports, task: str) -> None:
    """The same post-processing, held to older pipelines elsewhere, on transformers' own network."""
    folder = exports(task).bundle
    manifest = read_manifest(folder)
    source = MODELS[task].from_pretrained(exports.checkpoint(task)).eval()
    reference = Model(manifest, Tokenization.open(folder, manifest), TorchEngine(manifest, source))
    options = {"top_k": 3} if task == "question-answering" else {}
    answers = set()
    with load(folder) as model:
        for first, second in [QUESTION, QUESTION[::-1], tuple(TEXTS[:2]), (TEXTS[2], TEXTS[3])]:
            expected = reference((first, second), **options)
            same_answers(model((first, second), **options), expected, 1e-5)
            answers.add(json.dumps(expected, default=float))
    assert len(answers) == 4


def test_next_sentence_scores_follow_the_classes_of_transformers(exports: Exports) -> None:
    source = MODELS["next-sentence"].from_pretrained(exports.checkpoint("next-sentence")).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(exports.checkpoint("next-sentence"))
    with torch.no_grad():
        scores = source(**tokenizer(*QUESTION, return_tensors="pt")).logits.softmax(-1)[0].tolist()
    with load(exports("next-sentence").bundle) as model:
        answer = model(QUESTION)
    label = ("is_next", "not_next")[int(np.argmax(scores))]
    same_answers(answer, {"label": label, "score": max(scores)}, 1e-5)


@pytest.mark.slow
def test_full_logits_fill_masks_as_mask_positions_do(exports: Exports) -> None:
    full = exports("fill-mask", full_logits=True, lengths=(24, 48))
    assert full.failures == ()
    assert full.bundle.name == "tiny-fill-mask-fill-mask-float32-full-logits-seq24-48.tflite"
    manifest = read_manifest(full.bundle)
    assert manifest.options == {"full-logits": True, "seq": "24-48"}
    assert manifest.lengths == (24, 48) and manifest.mask_slots is None
    assert [spec.name for spec in manifest.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    text = (
        "The [MASK] of [MASK] found [MASK] land, [MASK] the [MASK] and [MASK] said so [MASK]."  # 7, 5 slots
    )
    with load(full.bundle) as model, load(exports("fill-mask").bundle) as slotted:
        assert slotted.manifest.mask_slots == 5
        same_answers(model(text), slotted(text), 1e-5)
        logits = model.run(model.encode(TEXTS[0]).inputs)["logits"]
        assert logits.shape == (1, 24, manifest.tokenizer.vocab_size)
        tokens = len(model.encode(TEXTS[0]))
    folder = exports.checkpoint("fill-mask")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        expected = (
            MODELS["fill-mask"].from_pretrained(folder)(**tokenizer(TEXTS[0], return_tensors="pt")).logits
        )
    np.testing.assert_allclose(logits[0, :tokens], expected[0].numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("positions", "lengths"),
    [
        (512, (32, 64, 128, 256)),
        (256, (32, 64, 128, 256)),
        (255, (32, 64, 128, 255)),
        (64, (32, 64)),
        (20, (20,)),
    ],
)
def test_default_buckets_end_where_the_positions_do(
    tmp_path: Path, exports: Exports, positions: int, lengths: tuple[int, ...]
) -> None:
    config = json.loads((exports.checkpoint("fill-mask") / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "max_position_embeddings": positions}))
    assert default_lengths(read_config(tmp_path)) == lengths
    plan, _ = plan_export(Request(model=str(tmp_path), target="tflite", recipe=read_recipe("int8")))
    assert plan.lengths == lengths and plan.options == {}


def test_seq_len_is_sorted_named_in_the_bundle_and_left_out_when_it_is_the_default(
    exports: Exports, tmp_path: Path
) -> None:
    def name(*lengths: int) -> str:
        return plan_export(request(exports, "feature-extraction", tmp_path, lengths=lengths))[0].bundle_name

    stem = "tiny-feature-extraction-feature-extraction-float32"
    assert name(48) == f"{stem}-seq48.tflite"
    assert name(48, 16, 48) == f"{stem}-seq16-48.tflite"
    assert name(64, 32) == f"{stem}.tflite"


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.slow
def test_two_exports_in_two_processes_are_byte_identical(
    export_all_json: ExportedAll, export_table: Exported, name: str
) -> None:
    assert export_table.process.done.returncode == 0
    one, two = contents(export_all_json.bundles["tflite"]), contents(export_table.bundle)
    assert one.keys() == two.keys() == FILES
    assert one[name] == two[name]


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_an_export_in_a_process_that_made_others_before_is_byte_identical_too(
    export_all_json: ExportedAll, exports: Exports, tmp_path: Path, target: str
) -> None:
    # Not by `exports`, which may have the bundle from another process.
    here(exports.checkpoint("feature-extraction"), "float32", target, tmp_path / "before")
    made = here(exports.checkpoint("fill-mask"), "int8", target, tmp_path / "after")
    assert contents(made.bundle) == contents(export_all_json.bundles[target])


def test_an_existing_bundle_is_left_alone_unless_overwrite_is_given(
    exports: Exports, tmp_path: Path, ready_made: None
) -> None:
    bundle = tmp_path / exports("feature-extraction").bundle.name
    bundle.mkdir()
    (bundle / "mine.txt").write_text("keep")
    asked = request(exports, "feature-extraction", tmp_path)
    message = error_of(UsageError, export, asked)
    assert "--overwrite" in message and str(bundle) in message
    assert contents(tmp_path) == {f"{bundle.name}/mine.txt": b"keep"}
    assert export(replace(asked, overwrite=True)).bundle == bundle
    assert [path.name for path in tmp_path.iterdir()] == [bundle.name]
    assert contents(bundle) == contents(exports("feature-extraction").bundle)


def test_an_output_that_is_a_file_is_a_usage_error(exports: Exports, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert "not a folder" in error_of(UsageError, export, request(exports, "fill-mask", tmp_path / "out"))


def test_a_bundle_below_its_threshold_is_kept_apart_and_says_which_output_and_text(coarse: Result) -> None:
    assert coarse.parity["verdict"] == "failed" and coarse.parity["judged_as"] == "int4"
    name = "tiny-feature-extraction-feature-extraction-coarse.tflite"
    assert [path.name for path in coarse.bundle.parent.iterdir()] == [f"{name}.failed"]
    manifest = read_manifest(coarse.bundle)
    assert manifest.verdict == "failed" and manifest.name == name
    assert manifest.recipe == COARSE
    verify_bundle(coarse.bundle, manifest, allow_unverified=True)
    assert any(
        line.startswith("sentence_embedding: cosine_min") and "(text " in line for line in coarse.failures
    )
    message = error_of(road.ParityError, road.raise_for_parity, [coarse])
    assert str(coarse.bundle) in message and "bertmobile-parity --bisect" in message


def test_the_runtime_refuses_a_failed_bundle_unless_told_otherwise(
    coarse: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "failed" in error_of(BundleError, load, coarse.bundle)
    assert "failed" in error_of(BundleError, load, coarse.bundle, verify=False)
    assert run_main([str(coarse.bundle), "--embed", "a word"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert run_main([str(coarse.bundle), "--embed", "a word", "--allow-unverified"]) == 0
    assert len(capsys.readouterr().out.split()) == 64


def test_a_failed_export_replaces_an_older_failure_and_never_a_good_bundle(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = exports("feature-extraction", checkpoint={"trained": False}).bundle / "model.tflite"
    monkeypatch.setattr(
        TARGET,
        "write",
        lambda plan, network, samples, path, tokenizer: shutil.copy(wrong, path),
        raising=False,
    )
    good = shutil.copytree(
        exports("feature-extraction").bundle, tmp_path / exports("feature-extraction").bundle.name
    )
    before = contents(good)
    (tmp_path / f"{good.name}.failed").mkdir()
    (tmp_path / f"{good.name}.failed" / "older").write_text("")
    result = export(request(exports, "feature-extraction", tmp_path, overwrite=True))
    assert result.parity["verdict"] == "failed"
    assert result.bundle == tmp_path / f"{good.name}.failed"
    assert contents(result.bundle).keys() == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == [good.name, f"{good.name}.failed"]
    assert contents(good) == before


@pytest.mark.parametrize("failure", [RuntimeError("broken"), KeyboardInterrupt(), UsageError("no")])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_error_in_the_middle_leaves_nothing_behind(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, overwrite: bool
) -> None:
    def write(plan: Any, network: Any, samples: Any, path: Path, tokenizer: Any) -> None:
        path.write_bytes(b"half a model")
        raise failure

    monkeypatch.setattr(TARGET, "write", write, raising=False)
    if overwrite:
        name = exports("feature-extraction").bundle.name
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("keep")
    before = contents(tmp_path)
    with pytest.raises(type(failure)):
        export(request(exports, "feature-extraction", tmp_path, overwrite=overwrite))
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == overwrite


def test_an_error_while_comparing_leaves_nothing_behind(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        TARGET, "write", lambda plan, network, samples, path, tokenizer: path.write_bytes(b"x"), raising=False
    )
    with pytest.raises(BundleError):
        export(request(exports, "feature-extraction", tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_untrained_weights_are_detected_labelled_and_judged_on_cosines(exports: Exports) -> None:
    result = exports("feature-extraction", checkpoint={"trained": False})
    assert result.failures == ()
    assert not read_manifest(result.bundle).source.trained
    assert result.parity["trained"] is False and result.parity["thresholds"].keys() <= {
        "cosine_min",
        "cosine_mean",
    }
    assert exports("feature-extraction").parity["trained"] is True
    assert exports("feature-extraction").parity["thresholds"] == {"max_abs": 1e-4}


@pytest.mark.parametrize("target", [pytest.param("tflite", marks=pytest.mark.slow), "onnx", "coreml"])
def test_untrained_weights_at_8_bits_are_judged_on_cosines_too(exports: Exports, target: str) -> None:
    result = exports("fill-mask", "int8", target=target, checkpoint={"trained": False})
    assert result.failures == ()
    assert result.parity["trained"] is False and not read_manifest(result.bundle).source.trained
    assert result.parity["thresholds"] == {"cosine_mean": 0.995, "cosine_min": 0.98}


def test_the_untrained_flag_labels_weights_that_look_trained(
    exports: Exports, tmp_path: Path, ready_made: None
) -> None:
    result = export(request(exports, "feature-extraction", tmp_path, untrained=True))
    assert result.parity["trained"] is False
    assert not read_manifest(result.bundle).source.trained


def test_calibration_texts_for_a_recipe_that_calibrates_nothing_are_refused(
    exports: Exports, tmp_path: Path
) -> None:
    asked = request(
        exports,
        "feature-extraction",
        tmp_path / "out",
        recipe=read_recipe("float16"),
        calibration=tmp_path / "texts.txt",
    )
    assert "--calibration" in error_of(UsageError, export, asked)
    assert not (tmp_path / "out").exists()


def test_texts_of_the_user_decide_the_verdict_and_none_of_them_is_stored(
    exports: Exports, tmp_path: Path
) -> None:
    file = tmp_path / "private.txt"
    file.write_text("my secret word is zanzibar\nnobody shall read this: quicksilver\n", encoding="utf-8")
    source, recipe = str(exports.checkpoint("feature-extraction")), read_recipe("int8")
    with one_thread_each():
        result = export(Request(source, "onnx", recipe, texts=file, output=tmp_path / "out"))
    assert result.parity["texts"]["source"] == "file" and result.parity["texts"]["count"] == 2
    golden = json.loads((result.bundle / "golden.json").read_text("utf-8"))
    assert len(golden["cases"]) >= 8
    for name, content in contents(result.bundle).items():
        for word in (b"zanzibar", b"quicksilver", b"private.txt"):
            assert word not in content.lower(), name


def test_calibration_reads_the_users_file_and_stores_none_of_it(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ["my secret word is zanzibar", "nobody shall read this: quicksilver", "and xylophone"] * 4
    file = tmp_path / "private.txt"
    file.write_text("\n".join(secrets), encoding="utf-8")
    seen = []
    prepare = model_file.prepare

    def spy(*arguments: Any) -> Any:
        prepared = prepare(*arguments)
        seen.extend(prepared.samples)
        return prepared

    monkeypatch.setattr(model_file, "prepare", spy)
    with one_thread_each():
        result = export(
            request(
                exports,
                "feature-extraction",
                tmp_path / "out",
                recipe=read_recipe("int8-static"),
                calibration=file,
            )
        )
    tokenizer = transformers.AutoTokenizer.from_pretrained(exports.checkpoint("feature-extraction"))
    fed = [sample["input_ids"][0][sample["attention_mask"][0] == 1].tolist() for sample in seen]
    assert fed == [tokenizer(text)["input_ids"] for text in secrets]
    assert read_manifest(result.bundle).recipe["name"] == "int8-static"
    for name, content in contents(result.bundle).items():
        for word in (b"zanzibar", b"quicksilver", b"xylophone", b"private.txt"):
            assert word not in content.lower(), name


@pytest.mark.slow
def test_calibration_texts_decide_the_ranges(exports: Exports, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("warm\nrain\n", encoding="utf-8")
    ours = exports("feature-extraction", "int8-static", calibration=file).bundle
    builtin = exports("feature-extraction", "int8-static").bundle
    assert (ours / "model.tflite").read_bytes() != (builtin / "model.tflite").read_bytes()


def test_progress_names_each_stage_in_order(exports: Exports, tmp_path: Path, ready_made: None) -> None:
    stages: list[str] = []
    counts = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)
        if stage.startswith("Checking"):
            counts.append((done, total))

    export(request(exports, "feature-extraction", tmp_path), progress)
    assert list(dict.fromkeys(stages)) == [
        "Reading the checkpoint", "Converting to tflite", "Loading the reference", "Checking tflite"
    ]  # fmt: skip
    assert counts[-1][0] == counts[-1][1] >= 128
