"""Links between the pages of an output folder, added where it is known which pages lie there."""

import os.path
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

_PLACE = "<!-- pages -->"
_REFERENCE = re.compile(r'<a data-page="([^"<>]*)">')


def link_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """Links the pages of a folder with each other, in place.

    Args:
        folder: Output folder.
        pages: Titles of its pages by path below the folder, in the order of the links.
    """
    for path in pages:
        file = folder / path
        file.write_text(add_links(file.read_text(encoding="utf-8"), path, pages), encoding="utf-8")


def add_links(content: str, path: str, pages: Mapping[str, str]) -> str:
    """Adds links to a page: a list of all pages in its header, and an address to each reference in its text.

    A reference is `<a data-page="data.html">` without an address, so that a page by itself has no dead link. Those
    to pages that are not there stay as they are.

    Args:
        content: HTML of a page that `page.render` made.
        path: Path of the page below the output folder.
        pages: Titles of the pages by path below the output folder, this one included.
    """

    def address(other: str) -> str:
        return quote(os.path.relpath(other, Path(path).parent))

    def refer(reference: re.Match[str]) -> str:
        other = reference[1]
        return f'<a href="{address(other)}">' if other in pages and other != path else reference[0]

    if len(pages) < 2:
        return content
    links = Markup().join(
        Markup('<li><a href="{}"{}>{}</a></li>').format(
            address(other), Markup(' aria-current="page"') if other == path else "", title
        )
        for other, title in pages.items()
    )
    navigation = f'<nav class="pages" aria-label="Pages of this run"><ul>{links}</ul></nav>'
    return _REFERENCE.sub(refer, content).replace(_PLACE, navigation, 1)
