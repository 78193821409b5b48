"""The README and the pages: links resolve, and commands, options, variables and files that they name exist."""

import functools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from support import ROOT
from support.generated_docs import generate_pages

from headstart.pipelines.cli.main import app
from headstart.pipelines.definitions.given_options import CLASS_COUNTS
from headstart.pipelines.definitions.parameters import OPTION_NAMES

README = ROOT / "README.md"
MOST_WORDS = 1_500
PROJECT_PAGES = [ROOT / name for name in ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [README, *PROJECT_PAGES, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]
SOURCES = ("components", "pipelines", "tests", "docker")

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_BLOCK_LINE = re.compile(r"^ {4,}(?![-*`]|\d+\.)\S.*$", re.MULTILINE)
_COMMANDS = re.compile(r"^ *```(?:bash|sh)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_PATH = re.compile(rf"(?:benchmarks|docs|{'|'.join(SOURCES)})/[\w./-]*")
_VARIABLE = re.compile(r"HEADSTART_[A-Z0-9_]+")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def links(page: Path) -> list[str]:
    """Targets of the links and images of a page that lie in this repository."""
    text = _SPAN.sub("", _FENCE.sub("", page.read_text()))
    return [each for each in _LINK.findall(text) if "://" not in each]


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text())):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{plain}-{seen[plain]}" if seen[plain] else plain)
        seen[plain] += 1
    return found


def code(page: Path) -> list[str]:
    """Commands of the blocks of a page, continued lines joined, and its code in running text."""
    text = page.read_text().replace("\\\n", " ")
    lines = [line for block in _COMMANDS.findall(text) for line in block.splitlines()]
    return lines + _BLOCK_LINE.findall(text) + _SPAN.findall(_FENCE.sub("", page.read_text()))


@functools.cache
def commands() -> dict[str, set[str]]:
    """Options of each command by its name; those of a group's command stand under both words."""

    def walk(command: Any, name: str) -> dict[str, set[str]]:
        if hasattr(command, "commands"):
            found = {name: set[str]()} if name else {}
            for word, each in command.commands.items():
                found |= walk(each, f"{name} {word}".strip())
            return found
        return {name: {option for each in command.params for option in [*each.opts, *each.secondary_opts]}}

    return walk(typer.main.get_command(app), "")


@every_page
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_file(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_every_page_is_reachable_from_the_readme() -> None:
    reached, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        found = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        new = {each for each in found if each.suffix == ".md"} - reached
        reached |= new
        waiting += new
    assert set(PAGES) <= reached


def test_readme_is_read_in_one_sitting() -> None:
    assert len(README.read_text().split()) <= MOST_WORDS


@every_page
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in code(page):
        for given in re.findall(r"(?:^\s*|\| |=\S+ )headstart ([a-z][^|;#]*)", line):
            first, *others = given.split()
            name = f"{first} {others[0]}" if first == "models" and others else first
            assert name in commands(), f"headstart {given}"
            assert set(_OPTION.findall(given)) <= {*commands()[name], "--help"}, f"headstart {given}"


@pytest.mark.parametrize("page", PAGES[:-1], ids=lambda page: page.name)
def test_options_in_running_text_exist(page: Path) -> None:
    """But for the page of benchmarks, whose scripts have options of their own."""
    ours = set().union(*commands().values())
    # What pip and tensorboard are called with.
    others = {"--no-deps", "--require-hashes", "--only-binary", "--logdir"}
    for span in _SPAN.findall(page.read_text()):
        if span.startswith("--"):
            assert set(_OPTION.findall(span)) <= ours | others, span


def test_every_parameter_stands_in_one_table() -> None:
    rows = [
        line
        for page in PAGES
        for table in re.findall(r"<!-- parameters -->(.*?)<!-- /parameters -->", page.read_text(), re.DOTALL)
        for line in table.splitlines()
        if line.startswith("| `--")
    ]
    named = Counter(option for row in rows for option in _OPTION.findall(row.split("|")[1]))
    del named["--no-deterministic"]
    assert named == Counter(f"--{option}" for name, option in OPTION_NAMES.items() if name != CLASS_COUNTS)


@every_page
def test_make_knows_the_targets(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in code(page):
        if made := re.search(r"(?:^|\s)make((?: [a-z-]+)+)", line):
            assert set(made[1].split()) <= set(targets), line


@every_page
def test_files_and_variables_exist(page: Path) -> None:
    text = "".join(
        path.read_text()
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*")
        if path.suffix == ".py" or path.name == "Dockerfile"
    )
    for span in code(page):
        for variable in _VARIABLE.findall(span):
            assert variable in text, span
        for name in _PATH.findall(span) if _PATH.match(span) else []:
            known = name.partition("NAME")[0]
            assert (ROOT / known).exists(), span


@pytest.mark.parametrize(("page", "text"), generate_pages().items(), ids=lambda part: getattr(part, "name", ""))
def test_generated_parts_are_current(page: Path, text: str) -> None:
    assert page.read_text(encoding="utf-8") == text, "run python tests/support/generated_docs.py"
