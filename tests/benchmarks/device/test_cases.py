"""Files of tensors: what is written is read again, and nothing else is."""

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bertmobile.errors import BertMobileError
from bertmobile_bench.device.cases import Sample, read_cases, write_cases

NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
TYPES = st.sampled_from(["<f4", ">f4", "<i4", ">i4", "<i8"]).map(np.dtype)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
TENSORS = st.dictionaries(NAMES, TYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)), max_size=3)
SAMPLES = st.lists(st.builds(Sample, NAMES, TENSORS), max_size=3)


def written(samples: list[Sample]) -> bytes:
    with TemporaryDirectory() as folder:
        write_cases(Path(folder, "cases"), samples)
        return Path(folder, "cases").read_bytes()


def read(content: bytes) -> list[Sample]:
    with TemporaryDirectory() as folder:
        Path(folder, "cases").write_bytes(content)
        return read_cases(Path(folder, "cases"))


@given(SAMPLES)
def test_what_is_written_is_read(samples: list[Sample]) -> None:
    found = read(written(samples))
    assert [each.signature for each in found] == [each.signature for each in samples]
    for before, after in zip(samples, found, strict=True):
        assert list(before.tensors) == list(after.tensors)
        for name, values in before.tensors.items():
            assert after.tensors[name].dtype == values.dtype.newbyteorder("<")
            np.testing.assert_array_equal(after.tensors[name], values)


@given(SAMPLES, st.data())
def test_a_file_that_was_cut_off_or_goes_on_is_refused(samples: list[Sample], data: st.DataObject) -> None:
    content = written(samples)
    for damaged in (content[: data.draw(st.integers(0, len(content) - 1))], content + b"\0"):
        with pytest.raises(BertMobileError, match="no file of tensors, or was cut off"):
            read(damaged)


@given(SAMPLES, st.data())
def test_an_altered_file_is_read_or_refused_and_nothing_else(
    samples: list[Sample], data: st.DataObject
) -> None:
    content = bytearray(written(samples))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content))
    except BertMobileError as failure:
        assert "no file of tensors" in str(failure)


@pytest.mark.parametrize("shape", [(1 << 62, 0), (1 << 62, 1 << 62, 0), (-1, 0), (-2, -2)])
def test_a_shape_that_cannot_be_is_refused(shape: tuple[int, ...]) -> None:
    content = written([Sample("s", {"t": np.zeros((0,) * len(shape), np.float32)})])
    sizes = 8 * len(shape) + 8
    with pytest.raises(BertMobileError, match="no file of tensors"):
        read(content[:-sizes] + struct.pack(f"<{len(shape)}qQ", *shape, 0))
