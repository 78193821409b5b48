from pathlib import Path

from headstart.components.core.artifacts.hygiene import HygieneSummary
from headstart.components.core.reports.learning_rate import KIND
from headstart.components.core.reports.page import PageHeader, describe_data, describe_run, list_sections, render

PACKAGE = "headstart.components.core.reports"


def test_sections_are_the_headings_as_text() -> None:
    content = '<h2 id="a">Plain</h2><h3 id="x">no</h3><h2 id="b" class="c">Of <bdi>cats &amp; &lt;dogs&gt;</bdi></h2>'
    assert list_sections(content) == [("a", "Plain"), ("b", "Of cats & <dogs>")]


def test_data_are_described_as_far_as_known() -> None:
    summary = HygieneSummary(9, 9, {}, 0, [], "2 classes: cat (4), dog (5)", "the folders of pets")
    assert describe_data(summary, ["cat", "dog"]) == "2 classes: cat (4), dog (5); from the folders of pets"
    assert describe_data(HygieneSummary(9, 9, {}, 0, []), ["cat", "dog"]) == "2 classes: cat, dog"
    many = describe_data(None, [f"class {number}" for number in range(40)])
    assert many.startswith("40 classes: class 0, ") and many.endswith("class 11 and 28 more")


def test_run_is_the_command_or_the_run_of_the_cluster() -> None:
    run = "0a1b2c3d-0123-4567-89ab-0123456789ab"
    report = Path(f"/minio/bucket/v2/transfer-learning/{run}/evaluate-model/{run[::-1]}/report")
    assert describe_run("", report) == f"Kubeflow Pipelines, {run}"
    assert describe_run("headstart run", report) == "headstart run"
    assert describe_run("", Path("/tmp/transfer-learning-2026-01-02/evaluate-model/report")) == ""


def _render(header: PageHeader) -> str:
    settings = {"phase": "head", "images": 9, "batch_size": 3, "seed": 0}
    chart = {"description": "a plot", "drawing": ""}
    return render(
        PACKAGE, "learning_rate.html.j2", header, option="o", words="w", settings=settings, steps=3, chart=chart
    )


def test_header_has_what_is_known_and_nothing_else() -> None:
    full = _render(PageHeader(KIND, "2026-01-02T03:04:05+00:00", "<cats>", "vgg16", "headstart run --data 'a b'"))
    assert '<time datetime="2026-01-02T03:04:05+00:00">2 January 2026, 03:04 UTC</time>' in full
    assert "<dd>&lt;cats&gt;</dd>" in full and "<dt>Backbone</dt><dd>vgg16</dd>" in full
    assert "headstart run --data &#39;a b&#39;" in full
    bare = _render(PageHeader(KIND))
    assert KIND in bare and "<dt>" not in bare.partition("<main")[0]


def test_page_of_no_sections_has_no_contents() -> None:
    assert 'aria-label="Contents"' not in _render(PageHeader(KIND))
