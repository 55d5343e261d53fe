"""The page stands alone, shows everything once, and takes no name for markup."""

import re
from typing import Any

import pytest

from bertmobile.errors import UsageError
from bertmobile_bench.report import page
from bertmobile_bench.report.merge import merge

from .documents import bundle, comparison, device, document, emulator, host, result
from .pages import Element, parse_html
from .test_tables import HOSTILE

INT8, FLOAT32 = "my-bert-fill-mask-int8.tflite", "my-bert-fill-mask-float32.tflite"
# What a browser fetches, from the HTML standard and from SVG.
FETCHED = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "formaction", "background"}


def measured() -> list[dict[str, Any]]:
    """A host, a phone with a hostile name, and an emulator."""
    both = [bundle(), bundle(FLOAT32, sha256="b" * 64, model_bytes=90_000_000, cosine=None)]
    results = [result(threads=2, workload=each) for each in ("32", "128", "texts")]
    summary = result(mean=0.02, runner="benchmark_model", golden=None)
    hostile = [result(HOSTILE, golden={"cases": 1, "failed": [HOSTILE], "max_abs": 1}, doubts=[HOSTILE])]
    return [
        document(
            [*results, result(FLOAT32), result("my-bert", engine="pytorch")],
            on=host(), bundles=both, comparisons=[comparison(INT8, FLOAT32, 0.5)],
        ),
        document(hostile, on=device(HOSTILE, cpu=HOSTILE), bundles=[bundle(HOSTILE, recipe=HOSTILE)]),
        document([*results, summary], on=emulator()),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def html() -> str:
    return page.render(merge(measured()))


@pytest.fixture(scope="module")
def tree(html: str) -> Element:
    return parse_html(html)


def test_nothing_is_fetched_from_anywhere(tree: Element) -> None:
    for element in tree.walk():
        assert element.name not in {"script", "iframe", "object", "embed", "img", "image", "base", "form"}
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            assert name not in FETCHED or value.startswith("#") or value == "data:,", (name, value)
            assert re.findall(r"url\((?!#)", value) == []
    (style,) = tree.all("style")
    assert "url(" not in style.text() and "@import" not in style.text()


def test_the_policy_forbids_all_but_inline_style_and_data_images(tree: Element) -> None:
    metas = {each.attributes.get("http-equiv"): each.attributes["content"] for each in tree.all("meta")[1:2]}
    rules = dict(rule.strip().split(" ", 1) for rule in metas["Content-Security-Policy"].split(";"))
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_a_name_is_text_wherever_it_stands(html: str, tree: Element) -> None:
    assert "<script" not in html and "<b>" not in html
    assert sum(HOSTILE in each.text() for each in tree.all("td")) == 5  # cpu, target, recipe, golden, doubts
    assert any(each.text() == HOSTILE for each in tree.all("h2"))
    # Shortened, and not read as a formula.
    assert any(each.text().endswith(HOSTILE[-40:]) for each in tree.all("text"))
    assert any(HOSTILE in each.attributes["aria-label"] for each in tree.all("svg"))


def test_every_id_is_there_once_and_every_reference_leads_to_one(tree: Element) -> None:
    ids = [each.attributes["id"] for each in tree.walk() if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    values = [value for each in tree.walk() for value in each.attributes.values()]
    used = [found for value in values for found in re.findall(r"^#(.+)$|url\(#(.+?)\)", value)]
    assert used and {one or other for one, other in used} <= set(ids)


def test_tables_and_drawings_can_be_heard(tree: Element) -> None:
    assert tree.all("html")[0].attributes["lang"] == "en"
    for table in tree.all("table"):
        assert table.all("caption")[0].text().strip()
        assert all("scope" in each.attributes for each in table.all("th"))
        widths = {
            sum(int(cell.attributes.get("colspan", 1)) for cell in [*row.all("th"), *row.all("td")])
            for row in table.all("tr")
        }
        assert len(widths) == 1
    drawings = tree.all("svg")
    assert drawings and all(each.attributes["role"] == "img" for each in drawings)
    assert any("median 1" in each.attributes["aria-label"] for each in drawings)


def test_emulated_devices_are_labelled_and_share_no_axis_with_real_ones(tree: Element) -> None:
    name = "sdk_gphone64_x86_64"
    texts = [tree.all("body")[0].text(), *(each.attributes["aria-label"] for each in tree.all("svg"))]
    for text in texts:
        assert text.count(name) == text.count(f"{name} (emulated)")
        headings = text.count("workstation")
        assert text is texts[0] or not headings or name not in text
    captions = [each.text() for each in tree.all("figcaption")]
    assert {"Devices, 128 tokens", "Emulated devices, 128 tokens"} <= set(captions)


def test_each_device_has_a_drawing_of_every_workload_and_of_its_bundles(tree: Element) -> None:
    captions = [each.text() for each in tree.all("figcaption")]
    for workload in ("32 tokens", "128 tokens", "sentences"):
        assert f"Latency on workstation, {workload}" in captions
    (sizes,) = (each for each in tree.all("figure") if each.all("ol") and "workstation" in each.text())
    lines = [each.text() for each in sizes.all("li")]
    assert len(lines) == 2 and any(line.endswith("cosine not known") for line in lines)


def test_a_summary_is_drawn_by_its_mean(tree: Element) -> None:
    heard = [each.attributes["aria-label"] for each in tree.all("svg")]
    assert any("benchmark_model), 1 thread: 20.00 ms (mean)" in each for each in heard)


def test_the_same_measurements_make_the_same_bytes_in_any_order(html: str) -> None:
    assert page.render(merge(reversed(measured()))) == html


def test_a_workload_can_be_chosen_among_those_that_there_are() -> None:
    merged = merge([document([result(workload="32"), result(workload="texts")])])
    assert "Devices, 32 tokens" in page.render(merged)
    assert "Devices, sentences" in page.render(merged, workload="texts")
    with pytest.raises(
        UsageError, match="no result has the workload 64; give --workload with one of 32, texts"
    ):
        page.render(merged, workload="64")


def test_few_equal_and_scattered_runs_can_be_drawn() -> None:
    odd = enumerate(([0.01], [0.01] * 60, [0.01, 5.0]), start=1)
    merged = merge([document([result(threads=threads, seconds=seconds) for threads, seconds in odd])])
    labels = [each.attributes["aria-label"] for each in parse_html(page.render(merged)).all("svg")]
    assert all("p90 10.00 ms" in each and "p90 4,501 ms" in each for each in labels)


def test_a_device_without_results_is_still_shown() -> None:
    made = {**document(), "results": []}
    tree = parse_html(page.render(merge([made])))
    assert not tree.all("svg") and "Pixel 8" in tree.text()
