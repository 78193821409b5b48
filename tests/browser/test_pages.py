"""Every page in a browser: on a desk and a phone, by day and by night, on paper, without scripts."""

import html
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from support.browsing import Watched

DESK, PHONE = 1280, 390
PAGES = ("report", "data", "comparison", "learning_rate")

CUT_OFF = """() => [...document.querySelectorAll("main *")].filter(each => {
    const box = each.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !each.closest(".wide, svg");
}).map(each => each.outerHTML.slice(0, 80))"""
"""Elements that reach beyond the right edge, and lie in no region that scrolls."""

UNNAMED = """() => [...document.querySelectorAll("main *")].filter(each =>
    ["auto", "scroll"].includes(getComputedStyle(each).overflowX) && each.scrollWidth > each.clientWidth + 1
    && !(each.tabIndex >= 0 && each.ariaLabel)).map(each => each.outerHTML.slice(0, 80))"""
"""Regions that scroll sideways and cannot be reached with the keyboard, or have no name."""

CLOSED = """() => [...document.querySelectorAll("main details > :not(summary)")].filter(each =>
    !each.closest("nav") && !each.checkVisibility()).map(each => each.outerHTML.slice(0, 80))"""
"""Content of sections that can be opened and is not shown."""

every_form = pytest.mark.parametrize(
    "watched", [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")], indirect=True, ids=str
)
every_page = pytest.mark.parametrize("name", PAGES)


@every_page
@every_form
def test_page_is_quiet_fits_and_is_accessible(
    watched: Watched, name: str, pages: Path, screenshots: Path, request: pytest.FixtureRequest
) -> None:
    page = watched.open(pages / f"{name}.html")
    width, scheme = request.node.callspec.params["watched"]
    page.screenshot(path=screenshots / f"{name}-{width}-{scheme}.png", full_page=True)
    assert watched.complaints == []
    assert [url for url in watched.requests if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("[...document.images].filter(each => !each.naturalWidth).length") == 0
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@every_page
def test_paper_loses_nothing(watched: Watched, name: str, pages: Path, tmp_path: Path) -> None:
    page = watched.open(pages / f"{name}.html")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})
    wide = "[...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth + 1)"
    assert page.evaluate(f"{wide}.map(each => each.ariaLabel)") == []
    assert page.evaluate(CLOSED) == []
    assert not page.locator(".contents").first.is_visible() and not page.locator(".pages").is_visible()
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


@every_page
def test_page_is_small(name: str, pages: Path) -> None:
    assert (pages / f"{name}.html").stat().st_size < 5e6


@pytest.mark.parametrize("watched", [(DESK, "light"), (PHONE, "light")], indirect=True, ids=str)
def test_contents_lead_to_every_section_and_stay_in_sight(watched: Watched, pages: Path) -> None:
    page = watched.open(pages / "report.html")
    contents = page.get_by_role("navigation", name="Contents")
    if page.viewport_size == {"width": PHONE, "height": 900}:
        assert not contents.get_by_role("link").first.is_visible()
        contents.locator("summary").click()
    links = contents.get_by_role("link")
    assert links.all_inner_texts() == page.locator("main h2[id]").all_inner_texts()
    links.last.click()
    heading = page.locator("main h2[id]").last
    assert page.url.endswith(f"#{heading.get_attribute('id')}")
    assert contents.locator("visible=true").first.bounding_box()["y"] >= 0
    if page.viewport_size == {"width": PHONE, "height": 900}:
        bar, title = contents.bounding_box(), heading.bounding_box()
        assert bar and title and title["y"] >= bar["y"] + bar["height"], "the open list does not cover the section"


def test_contents_lead_to_a_section_in_the_sandbox_of_kfps_viewer(watched: Watched, pages: Path) -> None:
    text = html.escape((pages / "data.html").read_text(encoding="utf-8"))
    watched.page.set_content(f'<iframe sandbox="allow-scripts" width="1200" height="800" srcdoc="{text}"></iframe>')
    frame = watched.page.frame_locator("iframe")
    assert frame.locator("html").evaluate("() => scrollY") == 0
    frame.get_by_role("navigation", name="Contents").get_by_role("link").last.click()
    assert frame.locator("html").evaluate("() => scrollY") > 0
    assert watched.complaints == []


def test_pages_lead_to_each_other(watched: Watched, pages: Path) -> None:
    page = watched.open(pages / "report.html")
    page.get_by_role("navigation", name="Pages of this run").get_by_role("link", name="Data").click()
    assert page.url.endswith("/data.html") and page.locator("[aria-current=page]").inner_text() == "Data"


@pytest.mark.parametrize("watched", [(PHONE, "light")], indirect=True, ids=str)
def test_table_that_goes_on_says_so_where_it_is_cut(watched: Watched, pages: Path) -> None:
    page = watched.open(pages / "comparison.html")
    hints = page.evaluate(
        """() => [...document.querySelectorAll(".wide")].map(each =>
            [each.scrollWidth > each.clientWidth, getComputedStyle(each, "::after").content.includes("Scroll")])"""
    )
    assert hints and all(goes_on == said for goes_on, said in hints)
    assert any(goes_on for goes_on, _ in hints)


def test_pages_say_as_much_without_scripts(browser: Browser, pages: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for name in PAGES:
        page.goto((pages / f"{name}.html").as_uri())
        assert page.locator("h1").inner_text() and page.locator("dl.about").count() == 1
        assert page.locator("[aria-label=Contents]").first.is_visible() == (name != "learning_rate")
    context.close()
