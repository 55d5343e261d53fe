"""Tables say what is known, and that the rest is not; their Markdown is a table whatever stands in it."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bertmobile_bench.report.markdown import render
from bertmobile_bench.report.merge import merge
from bertmobile_bench.report.results import printable
from bertmobile_bench.report.tables import UNKNOWN, bundle_table, device_table, result_table, turned

from .documents import bundle, device, document, emulator, host, result, samples
from .pages import Element, parse_html

HOSTILE = '<script>alert("1")</script> & | `code` [a](b) **x** $y$ 電話 é'


def cells(table: Any, row: int = 0) -> dict[str, str]:
    return dict(zip(table.header, table.rows[row], strict=True))


def test_a_device_shows_its_readings_before_and_after_and_the_extremes_between() -> None:
    hot = document(on=device(temperature_celsius=44.0), created="2026-03-01T11:00:00Z")
    found = cells(device_table(merge([document(), hot])))
    assert found["temperature"] == "31.0 °C → 38.5 °C (from 31.0 °C to 44.0 °C)"
    assert found["thermal status"] == "none → light"
    assert found["battery"] == "81 % → 81 %"
    assert (found["emulated"], found["fixed performance"], found["screen on"]) == ("no", "yes", "no")


def test_what_is_not_known_of_a_device_is_said_to_be() -> None:
    found = cells(device_table(merge([document(on=emulator(cores=None))])))
    for name in (
        "cpu",
        "cores",
        "governor",
        "frequency",
        "load average",
        "temperature",
        "thermal status",
        "battery",
    ):
        assert found[name] == UNKNOWN, name
    assert found["emulated"].startswith("yes")
    partly = cells(device_table(merge([document(on=host(after={}))])))
    assert partly["temperature"] == f"31.0 °C → {UNKNOWN}"


def test_a_turned_table_has_a_column_for_each_device() -> None:
    table = turned(device_table(merge([document(), document(on=host())])))
    assert table.header == ("device", "Pixel 8", "workstation")
    assert ("cores", "9", "16") in table.rows


def test_a_bundle_without_a_parity_report_has_no_cosine() -> None:
    table = bundle_table(merge([document(bundles=[bundle(cosine=None, verdict="pending")])]))
    assert (cells(table)["cosine"], cells(table)["parity"]) == (UNKNOWN, "pending")


def results_of(**more: Any) -> dict[str, str]:
    merged = merge([document([result(**more)])])
    return cells(result_table(merged.devices[0], merged.cases))


def test_a_result_shows_headline_checks_and_doubts() -> None:
    found = results_of(seconds=samples(0.012, 1_200))
    assert found["p90"].endswith(" ms") and found["p99"].endswith(" ms")
    assert (found["golden answers"], found["trusted"]) == ("passed (5)", "yes")
    failed = results_of(golden={"cases": 3, "failed": ["case 2"], "max_abs": 1.0}, doubts=["a drift", "heat"])
    assert (failed["golden answers"], failed["trusted"]) == ("failed: case 2", "no: a drift; heat")


def test_a_summary_is_shown_by_its_mean_and_marked() -> None:
    found = results_of(mean=0.0123, runner="benchmark_model", golden=None, load_seconds=None, peak_bytes=None)
    assert (found["p90"], found["p50"], found["p99"]) == ("12.30 ms (mean)", "–", "–")
    assert (found["load"], found["peak memory"], found["runs"]) == (UNKNOWN, UNKNOWN, UNKNOWN)
    assert found["golden answers"] == "not asked"


def markdown_tables(text: str) -> list[Element]:
    return parse_html(MarkdownIt("commonmark").enable("table").render(text)).all("table")


@given(st.text(max_size=40))
@example(HOSTILE)
@settings(max_examples=40)
def test_any_name_is_one_cell_of_the_markdown_as_it_is(name: str) -> None:
    # As it is read from a file; half characters never are.
    name = printable(name.encode("utf-8", "ignore").decode()) or "-"
    made = document([result(name)], on=device(name), bundles=[bundle(name)])
    devices, bundles, results = markdown_tables(render(merge([made])))
    for table in (devices, bundles, results):
        (row,) = table.all("tbody")[0].all("tr")
        assert row.all("td")[0].text() == name
        assert len(row.all("td")) == len(table.all("th"))
    assert not results.all("script")


def test_the_markdown_gives_a_doubt_of_each_kind_and_names_what_was_measured_again() -> None:
    results = [result(threads=threads, doubts=[f"a drift of {threads} %"]) for threads in (1, 2, 3)]
    again = document([result(doubts=[])], created="2026-03-02T00:00:00Z")
    text = render(merge([document(results), again]))
    assert text.count("a drift") == 1 and "Not trusted, for example: a drift of 2 %." in text
    assert "Measured again, shown as measured last: my-bert-fill-mask-int8.tflite on Pixel 8" in text
