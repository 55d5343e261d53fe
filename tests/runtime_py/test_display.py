import numpy as np

from bertmobile.display import lines


def test_columns_are_aligned_and_floats_short():
    rows = [{"score": 0.123456, "token": 7, "word": "cat"}, {"score": 0.5, "token": 1234, "word": "a\nb"}]
    assert lines(rows) == ["0.1235  7     cat", "0.5000  1234  a b"]


def test_one_dictionary_is_one_line():
    assert lines({"label": "yes", "score": 1.0}) == ["yes  1.0000"]


def test_several_masks_are_set_apart():
    assert lines([[{"a": 1}], [{"a": 2}]]) == ["1", "", "2"]


def test_nothing_found_is_said():
    assert lines([]) == ["(nothing found)"]


def test_an_array_shows_its_shape():
    assert lines(np.zeros((1, 5, 8), np.float32))[0].startswith("float32 [1, 5, 8]")
