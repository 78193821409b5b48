"""A headless Chromium, where there is one, and the pages that it looks at."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from support.browsing import Watched
from support.comparisons import drawn_comparison
from support.evaluations import drawn_report
from support.hygiene import drawn_data_page
from support.range_tests import drawn_range_test

from headstart.components.core.reports.links import link_pages

SCREENSHOTS = "HEADSTART_TEST_SCREENSHOTS"
"""Variable with a folder that receives the screenshots; without it they go to pytest's temporary folder."""

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(_NAMES)} is on the PATH")
    with sync_playwright() as playwright:
        # Its own sandbox needs rights that containers rarely have; it loads nothing but our pages.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def watched(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A tab, watched; a test gives its width and colour scheme as parameters."""
    width, scheme = getattr(request, "param", (1280, "light"))
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield Watched(page)
    page.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on ten classes and a thousand test images, with every section."""
    classes = [f"breed {letter} of a rather long name" for letter in "abcdefghij"]
    return drawn_report(tmp_path_factory.mktemp("report"), classes, 1000)


@pytest.fixture(scope="session")
def pages(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one page of each kind, linked with each other."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(report, folder)
    shutil.copy(drawn_comparison(folder / "comparison")[1], folder)
    drawn_data_page(folder)
    drawn_range_test(folder)
    link_pages(folder, {"report.html": "Report", "data.html": "Data", "comparison.html": "Comparison"})
    return folder


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for the screenshots."""
    folder = Path(os.environ.get(SCREENSHOTS) or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
