"""Documents become one set of measurements, whichever came first."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertmobile_bench.report.markdown import render
from bertmobile_bench.report.merge import Merged, merge

from .documents import bundle, comparison, device, document, emulator, host, result, samples

INT8, FLOAT32 = "my-bert-fill-mask-int8.tflite", "my-bert-fill-mask-float32.tflite"


def spelt(merged: Merged) -> tuple[Any, ...]:
    cases = [(case.device.label, case.bundle.label, case.result) for case in merged.cases]
    return render(merged), cases, [device.readings for device in merged.devices]


made = st.builds(
    lambda on, sha256, seed, threads, minute: document(
        [result(threads=threads, seconds=samples(count=3, seed=seed))],
        on=on,
        bundles=[bundle(sha256=sha256 * 64)],
        created=f"2026-03-01T10:{minute:02d}:00+00:00",
    ),
    st.sampled_from([device(), device(serial="9"), device(fingerprint=None), host(), emulator()]),
    st.sampled_from("ab"),
    st.integers(0, 3),
    st.integers(1, 2),
    st.integers(0, 2),
)


@given(st.lists(made, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_documents_does_not_matter_nor_does_one_given_twice(
    documents: list[dict[str, Any]], chance: random.Random
) -> None:
    others = [*documents, documents[0]]
    chance.shuffle(others)
    assert spelt(merge(others)) == spelt(merge(documents))


def test_what_was_measured_again_is_shown_as_it_was_last_and_said_to_be() -> None:
    slow, quick = (result(seconds=samples(median)) for median in (0.05, 0.01))
    # The later moment, although its text comes first.
    merged = merge(
        [
            document([quick], created="2026-03-01T12:00:00+02:00"),
            document([slow], created="2026-03-01T09:00:00+00:00"),
        ]
    )
    assert [case.result for case in merged.cases] == [quick]
    assert merged.replaced == (f"{INT8} on Pixel 8, litert (native), 1 thread, 128 tokens",)


@pytest.mark.parametrize(
    "other",
    [
        {"threads": 2},
        {"workload": "texts"},
        {"runner": "app"},
        {"engine": "onnxruntime"},
        {"core_mask": "f0"},
    ],
)
def test_another_setting_is_another_measurement(other: dict[str, Any]) -> None:
    merged = merge([document([result(), result(**other)])])
    assert len(merged.cases) == 2 and not merged.replaced


def test_documents_of_one_device_are_one_and_keep_all_readings() -> None:
    hot = device(temperature_celsius=44.0, governor="performance")
    merged = merge([document(), document(on=hot, created="2026-03-01T11:00:00+00:00")])
    (found,) = merged.devices
    assert found.label == "Pixel 8"
    assert found.readings["temperature_celsius"] == (31.0, 38.5, 44.0, 38.5)


def test_devices_of_one_name_are_told_apart_by_no_more_than_it_takes() -> None:
    both = [device(serial="1"), device(serial="2"), device("Pixel 9"), emulator(), host(name=None)]
    labels = [each.label for each in merge([document(on=on) for on in both]).devices]
    assert labels == ["Pixel 8 (1)", "Pixel 8 (2)", "Pixel 9", "unnamed", "sdk_gphone64_x86_64 (emulated)"]


def test_a_device_that_was_updated_is_another() -> None:
    updated = device(fingerprint="google/shiba/16")
    labels = [each.label for each in merge([document(), document(on=updated)]).devices]
    assert len(set(labels)) == 2 and all("3A1B2C" in label for label in labels)


def test_bundles_of_one_name_are_told_apart_by_their_hash() -> None:
    merged = merge([document(), document(bundles=[bundle(sha256="b" * 64)])])
    labels = [f"{INT8} (aaaaaaaa)", f"{INT8} (bbbbbbbb)"]
    assert [each.label for each in merged.bundles] == labels
    assert [case.bundle.label for case in merged.cases] == labels


def test_a_source_model_is_no_bundle_and_may_be_compared_with() -> None:
    source = "models/my-bert/"
    results = [result(), result(source, engine="pytorch")]
    merged = merge([document(results, comparisons=[comparison(INT8, source, 0.5)])])
    assert {each.label: each.facts is None for each in merged.bundles} == {INT8: False, "my-bert": True}
    assert merged.comparisons[0].versus.label == "my-bert"


def test_the_newer_of_two_comparisons_is_kept() -> None:
    def compared(ratio: float, created: str) -> dict[str, Any]:
        both = [bundle(), bundle(FLOAT32, sha256="b" * 64)]
        return document(bundles=both, comparisons=[comparison(INT8, FLOAT32, ratio)], created=created)

    merged = merge([compared(0.5, "2026-03-02T00:00:00Z"), compared(0.9, "2026-03-01T00:00:00Z")])
    assert [each.facts["ratio"] for each in merged.comparisons] == [0.5]
