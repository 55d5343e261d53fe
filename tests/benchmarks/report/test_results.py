"""Files of results are read whole, or said to be wrong with place and cause."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertmobile.errors import UsageError
from bertmobile_bench.report.results import read_results

from .documents import bundle, device, document, result, write


def test_a_json_file_holds_one_document_however_it_is_laid_out(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text(json.dumps(document(), indent=2), encoding="utf-8")
    assert read_results(path) == [document()]


def test_a_json_lines_file_holds_one_in_each_line(tmp_path: Path) -> None:
    # A line separator that is none of JSON's.
    both = [document(on=device("a")), document(on=device("b"))]
    path = tmp_path / "results.jsonl"
    path.write_text("\n\n".join(json.dumps(each) for each in both), encoding="utf-8")
    assert read_results(path) == both


LINES = [json.dumps(document(on=device(name)), ensure_ascii=False).encode() for name in ("é", "電話")]


@given(st.integers(1, len(LINES[1]) - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_last_line_that_was_cut_off_anywhere_is_left_out_with_a_warning(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(LINES[0] + b"\n" + LINES[1][:cut])
    with pytest.warns(UserWarning, match=r"results\.jsonl, line 2 is cut off"):
        (read,) = read_results(path)
    assert read["device"]["name"] == "é"


def test_a_last_line_that_is_whole_needs_no_line_break(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"\n".join(LINES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_results(path)) == 2


def without(key: str) -> dict[str, Any]:
    made = document()
    del made[key]
    return made


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "{", r"a\.json is not JSON: Expecting"),
        ("a.json", "[]", r"a\.json is not a results document"),
        ("a.json", '{"accuracy": 1}', "is not a results document; make one"),
        ("a.json", json.dumps({**document(), "schema_version": 2}), "schema version 2, and this .* reads 1"),
        ("a.json", json.dumps(without("device")), "is not a results document: data must contain"),
        ("a.json", json.dumps({**document(), "created": "yesterday"}), "not a results document: .*yesterday"),
        ("a.json", json.dumps(document([result(per_second=float("inf"))])), "Infinity is no finite number"),
        ("a.json", json.dumps(document()).replace("23500000", "1e999"), "1e999 is no finite number"),
        ("a.json", json.dumps(document(on=device("\ud800"))), "surrogates not allowed"),
        ("a.json", json.dumps(document(bundles=[bundle(), bundle(sha256="b" * 64)])), "two bundles called"),
        ("a.jsonl", json.dumps(document()) + "\n{\n" + json.dumps(document()), "line 2 is not JSON"),
        ("a.jsonl", json.dumps(document()) + "\n{}", r"a\.jsonl, line 2 is not a results document"),
        ("a.jsonl", json.dumps(document()) + "\n{}\n", r"a\.jsonl, line 2 is not a results document"),
        ("a.jsonl", "\n", r"a\.jsonl has no results"),
        ("a.csv", "", r"a\.csv has the suffix \.csv; results are \.json or \.jsonl"),
    ],
)  # fmt: skip
def test_what_is_no_results_document_is_refused_with_place_and_cause(
    tmp_path: Path, name: str, content: str, says: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        read_results(tmp_path / name)


def test_what_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000, encoding="utf-8")
    # Apart: a library that other tests have loaded raises the limit that stops it.
    script = "from bertmobile_bench.report.results import read_results; import pathlib, sys; "
    script += "read_results(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "a.json is not JSON" in done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.json cannot be read"):
        read_results(tmp_path / "absent.json")


def test_texts_lose_what_does_not_print(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", document(on=device("a\x1b[31m\u202eb\n  c\x00é")))
    assert read_results(path)[0]["device"]["name"] == "a[31mb cé"
