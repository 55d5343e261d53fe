"""What an export will make is known, checked and uniquely named before a weight is read."""

from dataclasses import fields, replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertmobile.errors import UsageError
from bertmobile.manifest import read_manifest
from bertmobile_export.checkpoint.config import TASKS
from bertmobile_export.plan import FLAGS, MASK_SLOTS, NEWEST_IOS, Plan, check_lengths, default_lengths
from bertmobile_export.recipes import recipe_names
from tests.exporters.configs import make_config, make_plan
from tests.exports import Exports
from tests.messages import error_of


def test_a_default_export_is_named_after_model_task_recipe_and_target() -> None:
    assert make_plan("fill-mask", "int8").bundle_name == "tiny-fill-mask-int8.tflite"
    assert make_plan("fill-mask", "int8").options == {}


def test_options_are_added_in_alphabetical_order() -> None:
    plan = make_plan("fill-mask", "int8", lengths=(32, 128), full_logits=True)
    assert plan.bundle_name == "tiny-fill-mask-int8-full-logits-seq32-128.tflite"
    assert list(plan.options) == sorted(plan.options)


@pytest.mark.parametrize(
    ("target", "options", "suffix"),
    [
        ("onnx", {}, ""),
        ("onnx", {"portable": True, "lengths": (128,)}, "-portable"),
        ("onnx", {"ort": True, "full_logits": True}, "-full-logits-ort"),
        ("coreml", {"ios": NEWEST_IOS}, ""),
        ("coreml", {"ios": 17, "lengths": (128,)}, "-ios17"),
        ("coreml", {"ios": 16, "lengths": (64,)}, "-ios16-seq64"),
        ("tflite", {"mediapipe": True, "lengths": (128,)}, "-mediapipe"),
    ],
)
def test_options_of_a_target_are_named_where_they_are_not_the_default(
    target: str, options: dict[str, Any], suffix: str
) -> None:
    plan = make_plan("text-classification", "int8", target=target, **options)
    assert plan.bundle_name == f"tiny-text-classification-int8{suffix}.{target}"


def test_only_onnx_without_fixed_shapes_takes_any_batch() -> None:
    def first(target: str, **options: Any) -> object:
        return make_plan("fill-mask", target=target, **options).inputs("int64")[0].shape[0]

    assert first("onnx") == first("onnx", ort=True) == "batch"
    assert first("onnx", portable=True) == first("tflite") == first("coreml", ios=18) == 1
    assert {spec.shape[0] for spec in make_plan("feature-extraction", target="onnx").outputs} == {"batch"}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("boltuix/bert-mobile", "bert-mobile"),
        ("my model (2)", "my-model-2"),
        ("модель", "model"),
        ("..", "model"),
        ("v1.2_final", "v1.2_final"),
    ],
)
def test_any_model_gives_a_safe_folder_name(model: str, name: str) -> None:
    assert make_plan("fill-mask", model=model).bundle_name == f"{name}-fill-mask-float32.tflite"


buckets = st.sets(st.integers(4, 512), min_size=1, max_size=4).map(lambda found: tuple(sorted(found)))
choices = st.tuples(st.sampled_from(TASKS), st.sampled_from(recipe_names()), st.booleans(), buckets)


@given(choices, choices)
def test_different_exports_of_a_model_never_share_a_name(first: tuple, second: tuple) -> None:
    names = [
        make_plan(task, recipe, full_logits=full, lengths=lengths).bundle_name
        for task, recipe, full, lengths in (first, second)
    ]
    assert (names[0] == names[1]) == (first == second)


def test_no_two_built_in_combinations_share_a_name() -> None:
    combinations = list(
        product(TASKS, recipe_names(), (False, True), [(32, 64, 128, 256), (32,), (64,), (32, 64)])
    )
    names = {make_plan(t, r, full_logits=f, lengths=n).bundle_name for t, r, f, n in combinations}
    assert len(names) == len(combinations)


def test_mask_slots_belong_to_sparse_fill_mask_alone() -> None:
    for task in TASKS:
        assert make_plan(task).mask_slots == (MASK_SLOTS if task == "fill-mask" else None)
        assert make_plan(task, full_logits=True).mask_slots is None
    inputs = make_plan("fill-mask").inputs("int32")
    assert [(spec.name, spec.shape) for spec in inputs][-1] == ("mask_positions", (1, MASK_SLOTS))
    assert len(make_plan("fill-mask", full_logits=True).inputs("int32")) == 3


def test_sparse_and_full_logits_declare_their_rows() -> None:
    (sparse,) = make_plan("fill-mask").outputs
    (full,) = make_plan("fill-mask", full_logits=True).outputs
    assert sparse.shape == (1, MASK_SLOTS, 500)
    assert full.shape == (1, "length", 500)


@pytest.mark.parametrize(("task", "expected"), [("fill-mask", True), ("text-classification", False)])
def test_only_a_fill_mask_decoder_can_be_tied(task: str, expected: bool) -> None:
    assert make_plan(task).tied_decoder is expected
    assert not make_plan(task, config=make_config(tie_word_embeddings=False)).tied_decoder


@pytest.mark.parametrize(
    ("positions", "lengths"),
    [
        (512, (32, 64, 128, 256)),
        (256, (32, 64, 128, 256)),
        (128, (32, 64, 128)),
        (100, (32, 64, 100)),
        (16, (16,)),
    ],
)
def test_default_lengths_reach_as_far_as_the_model_reads(positions: int, lengths: tuple[int, ...]) -> None:
    for config in (
        make_config(max_position_embeddings=positions),
        make_config(max_position_embeddings=512, max_length=positions),
        make_config(max_position_embeddings=positions, max_length=512),
    ):
        assert default_lengths(config) == lengths
        assert default_lengths(config, single=True) == (min(128, positions),)
        assert check_lengths(lengths, config) == lengths


@pytest.mark.parametrize(
    ("limit", "lengths"),
    [(None, (32, 64, 128, 256, 512)), (384, (32, 64, 128, 256, 384)), (256, (32, 64, 128, 256)), (20, (20,))],
)
def test_a_sentence_model_reads_as_much_as_its_folder_says(
    limit: int | None, lengths: tuple[int, ...]
) -> None:
    config = make_config(max_position_embeddings=512, max_length=limit, is_sentence_model=True)
    assert default_lengths(config) == lengths


def test_longer_than_the_model_reads_has_to_be_asked_for() -> None:
    config = make_config(max_position_embeddings=512, max_length=16)
    assert default_lengths(config) == (16,)
    assert check_lengths([16, 512], config) == (16, 512)


def test_lengths_become_sorted_and_distinct() -> None:
    assert check_lengths([128, 4, 64, 128], make_config()) == (4, 64, 128)


def test_a_length_beyond_the_positions_is_refused_with_the_limit() -> None:
    message = error_of(UsageError, check_lengths, [32, 513], make_config())
    assert "513" in message and "at most 512" in message


def test_a_length_too_short_for_a_text_is_refused_with_the_limit() -> None:
    message = error_of(UsageError, check_lengths, [3, 32], make_config())
    assert "--seq-len 3" in message and "at least 4" in message


def test_every_option_of_a_manifest_is_one_of_the_plan(exports: Exports) -> None:
    """Whatever the options, and whether or not their combination can be made."""
    bundle = exports("text-classification", target="onnx").bundle
    manifest, config = read_manifest(bundle), make_config()
    lengths = [(32, 64, 128, 256), (128,), (16, 48)]
    flags = [dict(zip(FLAGS.values(), values, strict=True)) for values in product((False, True), repeat=4)]
    versions = {"tflite": [None], "onnx": [None], "coreml": [16, 17, NEWEST_IOS]}
    for target, flagged, buckets in product(versions, flags, lengths):
        for ios in versions[target]:
            plan = make_plan(
                "text-classification", "int8", target=target, lengths=buckets, ios=ios,
                model=manifest.source.model, config=config, **flagged,
            )  # fmt: skip
            told = replace(
                manifest, target=target, options=plan.options, lengths=buckets, recipe=plan.recipe.document
            )
            assert Plan.from_manifest(told, config) == plan
    assert {field.name for field in fields(Plan)} - {"ios", "notes", *FLAGS.values()} == {
        "model", "config", "task", "recipe", "target", "lengths",
    }  # fmt: skip


def test_an_option_of_another_version_is_refused_by_name(exports: Exports) -> None:
    manifest = read_manifest(exports("text-classification", target="onnx").bundle)
    told = replace(manifest, options={"folded": True})
    assert "folded" in error_of(UsageError, Plan.from_manifest, told, make_config())
