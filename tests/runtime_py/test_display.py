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


def test_states_of_tokens_show_how_many_they_are():
    assert lines(np.zeros((1, 5, 8), np.float32).tolist())[0].startswith("5 tokens, 8 numbers each")


def test_labels_of_a_zero_shot_classification_are_a_line_each():
    answer = {"sequence": "a", "labels": ["rain", "sun"], "scores": [0.75, 0.25]}
    assert lines(answer) == ["rain  0.7500", "sun   0.2500"]
