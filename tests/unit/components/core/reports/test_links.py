from pathlib import Path

from headstart.components.core.reports.links import add_links, link_pages

PAGE = (
    '<header><!-- pages --></header><p>The <a data-page="data.html">data page</a>, <a data-page="gone.html">x</a></p>'
)


def test_pages_of_a_folder_are_linked_whatever_folder_they_are_in(tmp_path: Path) -> None:
    pages = {"comparison.html": "Comparison", "data.html": "Data & more", "reports/a b.html": "Report of a b"}
    (tmp_path / "reports").mkdir()
    for path in pages:
        (tmp_path / path).write_text(PAGE)
    link_pages(tmp_path, pages)
    top, data, report = ((tmp_path / path).read_text() for path in pages)
    assert '<li><a href="comparison.html" aria-current="page">Comparison</a></li>' in top
    assert '<li><a href="reports/a%20b.html">Report of a b</a></li>' in top
    assert '<li><a href="../data.html">Data &amp; more</a></li>' in report
    assert '<a href="data.html">data page</a>' in top and '<a href="../data.html">data page</a>' in report
    assert '<a data-page="data.html">data page</a>' in data, "no link to itself"
    assert '<a data-page="gone.html">' in top and "<!-- pages -->" not in top


def test_page_by_itself_has_no_links() -> None:
    assert "href" not in add_links(PAGE, "report.html", {"report.html": "Report"})
