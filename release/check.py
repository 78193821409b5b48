"""Checks that a tag may be released, and writes its section of CHANGELOG.md, which is the text of the release.

    python release/check.py v0.1.0 > notes.md

It stops where the tag is not the version of the package, where the changelog is not ready for it, or where the
repository's address is not known yet. It needs Python and this checkout, nothing else.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NO_OWNER = "OWNER"
"""What stands in the repository's address until somebody names the account that holds it."""

_SECTION = re.compile(r"^## \[(?P<name>[^\]]+)\](?P<rest>.*)$", re.MULTILINE)
_LINK = re.compile(r"^\[[^\]]+\]: ", re.MULTILINE)
_DATE = re.compile(r" - \d{4}-\d{2}-\d{2}")


class NotReadyError(Exception):
    """A release that must not be made; the message says what to do first."""


def read_version(root: Path = ROOT) -> str:
    """Version of the package.

    Args:
        root: Checkout.
    """
    (version,) = re.findall(r'^__version__ = "(.+)"$', (root / "headstart/__init__.py").read_text(), re.MULTILINE)
    return str(version)


def read_repository(root: Path = ROOT) -> str:
    """Address of the repository, as pyproject.toml has it.

    Args:
        root: Checkout.
    """
    with (root / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["urls"]["Repository"])


def read_owner(root: Path = ROOT) -> str:
    """Account that holds the repository.

    Args:
        root: Checkout.
    """
    return read_repository(root).split("/")[3]


def read_sections(root: Path = ROOT) -> dict[str, tuple[str, str]]:
    """Sections of the changelog by name: what follows the name in the heading, and the text below it.

    Args:
        root: Checkout.
    """
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if links := _LINK.search(text):
        text = text[: links.start()]
    headings = list(_SECTION.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {
        heading["name"]: (heading["rest"], text[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=True)
    }


def check_release(tag: str, root: Path = ROOT) -> str:
    """Checks that a tag may be released.

    Args:
        tag: Tag, such as ``v0.1.0``.
        root: Checkout.

    Returns:
        Text of the release.

    Raises:
        NotReadyError: If the release must not be made.
    """
    version = read_version(root)
    if tag != f"v{version}":
        raise NotReadyError(f"tag {tag}: headstart.__version__ is {version}; tag v{version}, or change it")
    if read_owner(root) == NO_OWNER:
        raise NotReadyError(f"pyproject.toml: write the account that holds the repository in the place of {NO_OWNER}")
    sections = read_sections(root)
    if version not in sections:
        raise NotReadyError(f"CHANGELOG.md: section [{version}] is missing; write it")
    rest, text = sections[version]
    if not _DATE.fullmatch(rest):
        raise NotReadyError(f"CHANGELOG.md: section [{version}] has no date; write '## [{version}] - YYYY-MM-DD'")
    if sections.get("Unreleased", ("", ""))[1]:
        raise NotReadyError(f"CHANGELOG.md: [Unreleased] has entries; move them to [{version}], with which they come")
    return text + "\n"


def main() -> None:
    """Writes the text of the release, or says in one line why there must be none."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} TAG")
    try:
        sys.stdout.write(check_release(sys.argv[1]))
    except NotReadyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
