"""A headless Chromium, where there is one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from support.evaluations import drawn_report

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


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on ten classes, with every section."""
    classes = [f"breed {letter} of a rather long name" for letter in "abcdefghij"]
    return drawn_report(tmp_path_factory.mktemp("report"), classes, 600)
