"""The report in a browser: its slider, on paper, and in the sandbox of KFP's viewer."""

import html
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FrameLocator, Page
from support.browsing import Watched

from headstart.components.core.artifacts.evaluation import read_metrics
from headstart.components.core.artifacts.predictions import read_predictions
from headstart.components.core.metrics.calibration import apply_temperature


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


def test_paper_has_no_slider(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    page.emulate_media(media="print")
    assert not page.locator("#threshold").is_visible()


def test_report_on_ten_classes_is_small(report: Path) -> None:
    assert report.stat().st_size < 5e6
