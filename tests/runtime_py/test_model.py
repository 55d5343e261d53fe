import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import bertmobile
from bertmobile.errors import BundleError, UsageError
from bertmobile.model import Model, load

from .conftest import tokenization
from .helpers import HashEngine, make_manifest

LABELS = ("no", "yes")


@pytest.fixture
def classifier():
    manifest = make_manifest("text-classification", labels=LABELS)
    return Model(manifest, tokenization(manifest), HashEngine(manifest))


def test_load_answers_with_the_engine_it_opened(bundle, hash_engine, tmp_path):
    folder = bundle("text-classification", labels=LABELS)
    with load(folder, engine="litert", threads=2, cache_dir=tmp_path / "cache") as model:
        assert model("text")[0]["label"] in LABELS
        assert model.manifest.task == "text-classification"
    (engine,) = hash_engine
    assert engine.folder == folder and engine.closed
    assert engine.options == {"engine": "litert", "threads": 2, "cache_dir": tmp_path / "cache"}


def test_load_takes_a_string_path(bundle, hash_engine):
    assert load(str(bundle("fill-mask")))("a [MASK]")


@pytest.mark.parametrize("task", ["fill-mask", "next-sentence", "text-classification", "token-classification",
                                  "question-answering", "feature-extraction"])  # fmt: skip
def test_every_task_of_the_schema_loads(bundle, hash_engine, task):
    labels = LABELS if task in ("text-classification", "token-classification") else ()
    inputs = ("a [MASK]", "b") if task in ("next-sentence", "question-answering") else "a [MASK]"
    assert load(bundle(task, labels=labels))(inputs) is not None


def test_load_refuses_a_tampered_bundle_before_any_engine_is_opened(bundle, hash_engine):
    folder = bundle()
    (folder / "model.tflite").write_bytes(b"tampered")
    with pytest.raises(BundleError, match=r"model\.tflite"):
        load(folder)
    assert not hash_engine


@pytest.mark.parametrize("verdict", ["pending", "failed"])
@pytest.mark.parametrize("verify", [True, False])
def test_load_refuses_an_unverified_bundle_unless_allowed(bundle, hash_engine, verdict, verify):
    folder = bundle(verdict=verdict)
    with pytest.raises(BundleError, match="allow_unverified"):
        load(folder, verify=verify)
    load(folder, verify=verify, allow_unverified=True).close()


def test_verify_false_skips_the_files(bundle, hash_engine):
    folder = bundle()
    (folder / "extra").write_text("")
    load(folder, verify=False).close()


def test_a_folder_that_is_no_bundle_is_a_bundle_error(tmp_path):
    with pytest.raises(BundleError, match="not a bundle"):
        load(tmp_path)


def test_a_list_gives_a_list_of_the_same_answers(classifier):
    items = ["one", ("two", "three"), {"text": "four"}, {"text": "five", "text_pair": "six"}, ""]
    assert classifier(items, top_k=2) == [classifier(item, top_k=2) for item in items]
    assert classifier([]) == []


def test_a_generator_is_read_as_its_answers_are(classifier):
    read = []
    answers = classifier(read.append(text) or text for text in ("one", "two"))
    assert (next(answers), read) == (classifier({"text": "one"}), ["one"])
    assert len(list(answers)) == 1


def test_options_of_load_count_for_every_call_that_has_no_others(bundle, hash_engine):
    model = load(bundle("text-classification", labels=LABELS), top_k=None)
    assert model({"text": "a"}) == model({"text": "a"}, top_k=2)
    assert len(model({"text": "a"}, top_k=1)) == 1


def test_a_wrong_option_of_load_is_a_usage_error_and_closes_the_engine(bundle, hash_engine):
    with pytest.raises(UsageError, match="has no option topk"):
        load(bundle("text-classification", labels=LABELS), topk=3)
    assert hash_engine[0].closed


def test_what_only_says_how_a_pipeline_runs_changes_nothing(classifier):
    assert classifier(["a", "b"], batch_size=2, num_workers=0) == classifier(["a", "b"])


def test_a_second_argument_that_no_pipeline_takes_is_a_usage_error():
    manifest = make_manifest("fill-mask", mask_slots=1)
    model = Model(manifest, tokenization(manifest), HashEngine(manifest))
    with pytest.raises(UsageError, match="takes one input"):
        model("[MASK]", 3)


@pytest.mark.parametrize(
    "item",
    [
        None,
        5,
        b"bytes",
        ("a",),
        ("a", "b", "c"),
        ("a", 5),
        (None, "b"),
        {"text": 1},
        {"pair": "a"},
        {},
        {"text_pair": "b"},
        [None],
        [["a", "b"]],
    ],
)
def test_other_inputs_are_usage_errors_that_say_what_the_task_takes(classifier, item):
    with pytest.raises(UsageError, match=r"takes a string \(text\) or a pair \(text, text_pair\)"):
        classifier(item)


def test_calling_without_an_input_is_a_usage_error(classifier):
    with pytest.raises(UsageError):
        classifier()


def test_a_wrong_option_lists_the_valid_ones(classifier):
    with pytest.raises(UsageError, match="text-classification has no option topk; its options: top_k"):
        classifier("text", topk=3)


def test_a_task_without_options_says_so():
    manifest = make_manifest("next-sentence")
    with pytest.raises(UsageError, match="options: none"):
        Model(manifest, tokenization(manifest), HashEngine(manifest))(("a", "b"), top_k=1)


def test_run_on_encoded_text_gives_the_raw_outputs(classifier):
    outputs = classifier.run(classifier.encode("some text").inputs)
    assert outputs["logits"].shape == (1, 2)


def test_a_closed_model_is_a_usage_error_and_closing_twice_is_fine(classifier):
    classifier.close()
    classifier.close()
    with pytest.raises(UsageError, match="closed"):
        classifier("text")


def test_threads_take_turns_at_the_engine_and_get_their_own_answers():
    manifest = make_manifest("fill-mask", mask_slots=1)

    class Jealous(HashEngine):
        busy = threading.Lock()

        def run(self, inputs):
            assert self.busy.acquire(blocking=False), "two threads in the engine"
            try:
                time.sleep(0.001)
                return super().run(inputs)
            finally:
                self.busy.release()

    model = Model(manifest, tokenization(manifest), Jealous(manifest))
    texts = [f"[MASK] {number} [MASK] " + "more " * number for number in range(40)]
    alone = [model(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(model, texts)) == alone


def test_float16_outputs_are_processed_in_float32():
    manifest = make_manifest("text-classification", labels=LABELS)

    class Half(HashEngine):
        def run(self, inputs):
            return {"logits": np.array([[1, 3]], np.float16)}

    model = Model(manifest, tokenization(manifest), Half(manifest))
    assert model("x") == [{"label": "yes", "score": pytest.approx(1 / (1 + np.exp(-2)), rel=1e-6)}]


def test_the_package_gives_the_same_objects():
    assert bertmobile.load is load and bertmobile.Model is Model
