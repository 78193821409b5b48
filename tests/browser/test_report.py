"""The report in a browser: its slider, on paper, and in the sandbox of KFP's viewer."""

import csv
import html
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from playwright.sync_api import Browser, FrameLocator, Page
from support.browsing import Watched

from headstart.components.core.artifacts.evaluation import read_metrics
from headstart.components.core.artifacts.predictions import Predictions, read_predictions
from headstart.components.core.metrics.calibration import apply_temperature


def read_calibrated(report: Path) -> tuple[Predictions, NDArray[np.float64]]:
    """The predictions beside a report, and the calibrated probability of each predicted class."""
    folder = report.parent / "evaluation"
    predictions = read_predictions(folder / "predictions.parquet")
    temperature = read_metrics(folder)["calibration"]["temperature"]
    return predictions, apply_temperature(predictions.probabilities, temperature).max(axis=1)


def expected(report: Path, threshold: float) -> str:
    """Text of the page at a threshold, from the files beside it."""
    predictions, confidence = read_calibrated(report)
    answered = confidence >= threshold
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
    text = page.locator("main").inner_text()
    assert "Precision wanted" in text and "Thresholds per class" in text and "Class balance" in text
    assert page.locator("#mistakes figure").count() == 48 and page.locator("#correct figure").count() == 24
    assert page.locator("#map-points title").count() == 1_000
    # Nothing is offered that would not work.
    visible = (
        "[...document.querySelectorAll('button, select, input[type=range]')].filter(each => each.checkVisibility())"
    )
    assert page.evaluate(f"{visible}.length") == 0
    assert page.locator("#by-error").is_visible()
    context.close()


def test_paper_has_no_slider(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    page.emulate_media(media="print")
    for hidden in ("#threshold", "#filters", "#cell", ".more", ".csv"):
        assert not page.locator(hidden).first.is_visible(), hidden
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#recipe table").is_visible()
    assert page.evaluate(
        "[...document.querySelectorAll('.gallery.large figure')].every(each => each.checkVisibility())"
    )


@pytest.mark.parametrize("watched", [(1280, "light"), (390, "dark")], indirect=True, ids=str)
def test_page_with_everything_open_is_accessible(watched: Watched, report: Path, tmp_path: Path) -> None:
    page = watched.open(report)
    page.locator("table.matrix button").first.click()
    page.locator("#recipe summary").click()
    page.locator("#by-error").check()
    page.locator("#map-points g[data-image]").first.dispatch_event("pointerover")
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") == page.evaluate("innerWidth")
    page.screenshot(path=tmp_path / "open.png", full_page=True)
    page.locator("#cell-images button").first.click()
    check_accessible(page, "#zoom")
    page.screenshot(path=tmp_path / "enlarged.png")
    assert watched.complaints == []


def check_accessible(page: Page, part: str | None = None) -> None:
    found = Axe().run(page, context=part)
    assert found.violations_count == 0, found.generate_report()


def test_cell_of_the_confusion_matrix_shows_its_images(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    predictions, _ = read_calibrated(report)
    label, predicted = 0, 0
    images = int(((predictions.labels == label) & (predictions.predicted == predicted)).sum())
    cell = page.locator(f"table.matrix [data-true='{label}'][data-predicted='{predicted}'] button")
    assert not page.locator("#cell").is_visible()
    cell.click()
    assert page.locator("#cell-title").inner_text() == f"{predictions.classes[0]}, correct: {images} images"
    assert page.locator("#cell-images figure").count() == min(48, images)
    wrong = next(zip(predictions.labels[~predictions.right], predictions.predicted[~predictions.right], strict=True))
    other = page.locator("table.matrix [data-true='{}'][data-predicted='{}'] button".format(*wrong))
    other.focus()
    other.press("Enter")
    assert (cell.get_attribute("aria-pressed"), other.get_attribute("aria-pressed")) == ("false", "true")
    rows = np.flatnonzero((predictions.labels == wrong[0]) & (predictions.predicted == wrong[1]))
    shown = page.locator("#cell-images figure").all_inner_texts()
    assert len(shown) == len(rows)
    assert all(any(predictions.paths[row] in text for text in shown) for row in rows)
    page.locator("#cell-close").press("Enter")
    assert not page.locator("#cell").is_visible()
    assert other.evaluate("each => each === document.activeElement")
    assert watched.complaints == []


def test_galleries_are_filtered_and_sorted(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    predictions, confidence = read_calibrated(report)

    def found(name: str) -> list[str]:
        return page.locator(f"#{name} figcaption .soft bdi:first-child").all_inner_texts()

    first = found("mistakes"), found("correct")
    assert [len(each) for each in first] == [48, 24]
    page.locator("#filter-true").select_option("2")
    page.locator("#filter-slice").select_option(label="site = north")
    page.locator("#filter-low").fill("60")
    page.locator("#sort").select_option("low")
    north = np.array(predictions.slices["site"]) == "north"
    wanted = (predictions.labels == 2) & north & (confidence >= 0.6)
    for name, right in (("mistakes", False), ("correct", True)):
        rows = [predictions.paths.index(path) for path in found(name)]
        assert sorted(rows) == np.flatnonzero(wanted & (predictions.right == right)).tolist()
        assert (np.diff(confidence[rows]) > -1e-4).all()
    assert page.locator("#found").inner_text() == f"{wanted.sum()} of {len(wanted):,} images found."
    page.locator("#filter-result").select_option("wrong")
    assert found("correct") == []
    page.locator("#filters [type=reset]").click()
    assert (found("mistakes"), found("correct")) == first
    page.locator("#correct-more").click()
    assert len(found("correct")) == len(set(found("correct"))) == 72
    assert watched.complaints == []


def test_images_are_enlarged_by_keyboard(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    buttons = page.locator("#mistakes figure button")
    buttons.nth(0).focus()
    page.keyboard.press("Enter")
    zoom = page.locator("#zoom")
    assert zoom.is_visible()
    first, second = (page.locator("#mistakes figure img").nth(at).get_attribute("alt") for at in (0, 2))
    assert page.locator("#zoom-title").inner_text() == first
    assert page.locator("#zoom-pictures img").count() == 2
    page.keyboard.press("ArrowRight")
    assert page.locator("#zoom-title").inner_text() == second
    page.keyboard.press("ArrowLeft")
    assert page.locator("#zoom-previous").is_disabled()
    page.keyboard.press("Escape")
    assert not zoom.is_visible()
    assert buttons.nth(0).evaluate("each => each === document.activeElement")
    assert watched.complaints == []


def test_feature_map_is_walked_by_arrow_keys(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    points = page.locator("#map-points g")
    assert points.count() == 1_000
    page.locator("#map-points").focus()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
        seen.append(page.locator("#map-image").inner_text())
    assert all(seen) and len(set(seen)) > 2
    before = float(page.locator("#map-points g.on").get_attribute("data-x"))
    page.keyboard.press("ArrowLeft")
    assert float(page.locator("#map-points g.on").get_attribute("data-x")) < before
    page.keyboard.press("Enter")
    assert page.locator("#zoom").is_visible()
    page.keyboard.press("Escape")
    page.locator("#map-class").select_option("3")
    predictions, _ = read_calibrated(report)
    assert page.locator("#map-points g:not(.dim)").count() == (predictions.labels == 3).sum()
    colour = "getComputedStyle(document.querySelector('#map-points g:not(.wrong)')).fill"
    by_class = page.evaluate(colour)
    page.locator("#by-error").check()
    assert page.evaluate(colour) != by_class
    assert watched.complaints == []


def test_threshold_of_one_class_says_what_its_predictions_say(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    predictions, confidence = read_calibrated(report)
    page.locator("#threshold-class").select_option("4")
    threshold = float(page.locator("#sure").inner_text().removesuffix(" %")) / 100
    own = predictions.predicted == 4
    reached = own & (confidence >= threshold)
    assert (
        page.locator("#answers")
        .inner_text()
        .startswith(
            f"Coverage {100 * reached.sum() / own.sum():.1f} % of the images predicted as {predictions.classes[4]}; "
            f"precision {100 * predictions.right[reached].mean():.1f} %, at least"
        )
    )
    assert page.locator("#threshold-chart path.precision").count() == 2
    assert watched.complaints == []


def test_figures_are_saved_as_csv(watched: Watched, report: Path) -> None:
    page = watched.open(report)
    links = page.locator("a.csv")
    assert links.count() >= 12
    names = [each.get_attribute("download") for each in links.all()]
    assert len(set(names)) == len(names)
    with page.expect_download() as download:
        page.locator("a.csv[download='confusion_matrix.csv']").click()
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    metrics = read_metrics(report.parent / "evaluation")
    assert header[1:] == metrics["classes"]
    assert [[int(count) for count in row[1:]] for row in rows] == metrics["test"]["confusion_matrix"]


def test_report_on_ten_classes_is_small(report: Path) -> None:
    assert report.stat().st_size < 5e6
