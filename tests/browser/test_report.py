"""The report in a browser: as wide as a desk or a phone, by day and by night, on paper, and in KFP's sandbox."""

import html
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FrameLocator, Page

from headstart.components.core.artifacts.evaluation import read_metrics
from headstart.components.core.artifacts.predictions import read_predictions
from headstart.components.core.metrics.calibration import apply_temperature

DESK, PHONE = 1040, 400


class Watched:
    """A page, and what it complained of or asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, report: Path) -> Page:
        self.page.goto(report.as_uri())
        # Pictures far below are read when one comes near them.
        self.page.evaluate("for (const each of document.images) each.loading = 'eager'")
        self.page.wait_for_function("[...document.images].every(each => each.complete)")
        return self.page


@pytest.fixture
def watched(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    width, scheme = getattr(request, "param", (DESK, "light"))
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield Watched(page)
    page.close()


@pytest.mark.parametrize(
    "watched", [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")], indirect=True, ids=str
)
def test_page_is_quiet_fits_and_is_accessible(watched: Watched, report: Path, tmp_path: Path) -> None:
    page = watched.open(report)
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    assert watched.complaints == []
    assert [url for url in watched.requests if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    assert page.evaluate("[...document.images].filter(each => !each.naturalWidth).length") == 0
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def expected(report: Path, threshold: float) -> str:
    """Text of the page at a threshold, from the files beside it."""
    folder = report.parent / "evaluation"
    predictions = read_predictions(folder / "predictions.parquet")
    temperature = read_metrics(folder)["calibration"]["temperature"]
    answered = apply_temperature(predictions.probabilities, temperature).max(axis=1) >= threshold
    right = predictions.right[answered].mean()
    return f"Coverage {100 * answered.mean():.1f} % of the images; selective accuracy {100 * right:.1f} %"


def move_and_check(page: Page | FrameLocator, report: Path) -> None:
    slider, sure, said = page.locator("#threshold"), page.locator("#sure"), page.locator("#answers")
    before = float(sure.inner_text().removesuffix(" %"))
    assert said.inner_text().startswith(expected(report, before / 100))
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")
    after = float(sure.inner_text().removesuffix(" %"))
    assert after == pytest.approx(before + 10)
    assert said.inner_text().startswith(expected(report, after / 100))
    assert expected(report, after / 100) != expected(report, before / 100)
    slider.press("End")
    assert slider.get_attribute("aria-valuetext") == "100.0 %"
    assert said.inner_text().startswith("Coverage ")


def test_slider_says_what_the_predictions_say(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    page.locator("#threshold").press("Home")
    for _ in range(100):
        page.locator("#threshold").press("ArrowRight")
    move_and_check(page, report)
    assert watched.complaints == []


def test_slider_works_in_the_sandbox_of_kfps_viewer(watched: Watched, report: Path) -> None:
    text = html.escape(report.read_text(encoding="utf-8"))
    watched.page.set_content(f'<iframe sandbox="allow-scripts" width="1000" height="800" srcdoc="{text}"></iframe>')
    move_and_check(watched.page.frame_locator("iframe"), report)
    assert watched.complaints == []


def test_page_says_as_much_without_scripts(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("h2").count() >= 10
    assert "Precision wanted" in page.locator("main").inner_text()
    context.close()


def test_paper_has_no_slider_and_loses_nothing_at_the_edge(watched: Watched, report: Path, tmp_path: Path) -> None:
    page = watched.open(report)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})
    assert not page.locator("#threshold").is_visible()
    wide = "[...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth + 1)"
    assert page.evaluate(f"{wide}.map(each => each.ariaLabel)") == []
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000


def test_report_on_ten_classes_is_small(report: Path) -> None:
    assert report.stat().st_size < 5e6
