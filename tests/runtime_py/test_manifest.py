"""What a manifest tells beside its fields."""

from dataclasses import replace

import pytest

from bertmobile.manifest import FileEntry, TensorSpec

from .helpers import LENGTHS, make_manifest


def with_files(model_file, sizes):
    files = {path: FileEntry("0" * 64, size) for path, size in sizes.items()}
    return replace(make_manifest("fill-mask"), model_file=model_file, files=files)


def test_a_batch_of_any_size_makes_a_model_dynamic():
    fixed = make_manifest("text-classification", labels=("no", "yes"))
    inputs = tuple(TensorSpec(spec.name, "int64", ("batch", "length")) for spec in fixed.inputs)
    assert not fixed.dynamic
    assert replace(fixed, inputs=inputs).dynamic


def test_a_models_size_is_that_of_its_file_alone():
    sizes = {"model.onnx": 7, "model.onnx.json": 3, "vocab.txt": 5}
    assert with_files("model.onnx", sizes).model_bytes == 7


def test_the_size_of_a_package_is_that_of_all_its_files():
    package = {"m.mlpackage/Manifest.json": 1, "m.mlpackage/Data/weights/weight.bin": 20}
    assert with_files("m.mlpackage", {**package, "m.mlpackages/x": 300, "vocab.txt": 4000}).model_bytes == 21


@pytest.mark.parametrize(("tokens", "length"), [(1, 16), (16, 16), (17, 32), (33, 64), (64, 64)])
def test_a_bucket_is_the_smallest_length_that_holds_the_tokens(tokens, length):
    assert make_manifest("fill-mask").bucket(tokens) == length


def test_no_bucket_holds_more_than_the_longest():
    with pytest.raises(StopIteration):
        make_manifest("fill-mask").bucket(LENGTHS[-1] + 1)
