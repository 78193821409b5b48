"""The site: it builds without a warning, asks no other host for anything, and its reference is complete."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
import yaml
from support import ROOT

import headstart
from headstart import __version__
from headstart.pipelines.cli.main import app

LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "use": "href"}
"""Attributes whose address a browser fetches by itself, by element; besides, `href` of most `<link>`."""


class Fetched(HTMLParser):
    """Addresses that a browser fetches for a page, and the text of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        link = "href" if tag == "link" and given.get("rel") not in ("canonical", "prev", "next") else ""
        self.addresses.append(given.get(LOADED.get(tag, link)) or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built; every warning is an error: links, anchors, and pages that are not in the navigation."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def text_of(site: Path, page: str) -> str:
    return " ".join("".join(Fetched((site / page / "index.html").read_text()).words).split())


def test_pages_ask_no_other_host_for_anything(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 50
    for page in pages:
        fetched = Fetched(page.read_text()).addresses
        assert not [each for each in fetched if re.match(r"(https?:)?//", each)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text()), sheet


def test_site_names_the_version(site: Path) -> None:
    assert f"Headstart {__version__}" in text_of(site, "")


def test_every_command_and_option_is_listed(site: Path) -> None:
    page = text_of(site, "reference/command-line")

    def check(command: typer.core.TyperCommand, name: str) -> None:
        for parameter in command.params:
            assert not parameter.opts[0].startswith("--") or parameter.opts[0] in page, (name, parameter.opts)
        for word, each in getattr(command, "commands", {}).items():
            assert f"headstart {word}" in page or f"{name} {word}" in page
            check(each, f"{name} {word}")

    check(typer.main.get_command(app), "headstart")


def test_every_component_has_a_page_and_a_compiled_form(site: Path) -> None:
    components = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
    for name in components:
        assert f"from headstart.components.{name}.component import {name}" in text_of(
            site, f"reference/components/{name}"
        )
        compiled = yaml.safe_load((site / "reference" / "components" / f"{name}.yaml").read_text())
        assert compiled["pipelineInfo"]["name"] == name.replace("_", "-")


def test_messages_and_events_are_those_of_the_source(site: Path) -> None:
    errors = text_of(site, "reference/error-messages")
    assert "there are no test images, by which the gate decides" in errors
    assert "give the test split some" in errors
    assert "unknown {kind} {name}" in errors
    events = text_of(site, "reference/log-events")
    assert "decision verdict= why= Decides whether a candidate may replace the champion" in events
    assert "fine_tuning.unfreeze_from" in text_of(site, "reference/recipe-keys")
    assert "accuracy_interval" in text_of(site, "reference/artifacts")


def test_every_name_of_the_python_api_is_documented(site: Path) -> None:
    page = (site / "reference" / "python-api" / "index.html").read_text()
    for name in headstart.__all__:
        assert f'id="headstart.{name}"' in page, name


def test_no_generated_part_is_left_as_it_stands_in_the_repository(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "when the site is built" not in page.read_text(), page
