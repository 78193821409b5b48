"""HTML of results in a notebook."""

import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from headstart.components.core.util.printable import escape_unprintable
from headstart.pipelines.python_api.paths import show_path

_FRAME_HEIGHT = 640


class Page:
    """A page among the results; a notebook shows the page itself.

    `str(page)` is its path, and functions that take a path take the page.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return show_path(self.path)

    def __repr__(self) -> str:
        return f"Page({show_path(self.path)!r})"

    def _repr_html_(self) -> str:
        content = escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{content}" style="width:100%;height:{_FRAME_HEIGHT}px;border:0"></iframe>'


def text(value: object) -> str:
    """Text of a value, escaped for HTML, invisible characters made visible."""
    return escape(escape_unprintable(str(value)))


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; columns that begin with text stand to the left, others to the right."""
    rows = list(rows)
    sides = ["left" if not rows or isinstance(cell, str) else "right" for cell in (rows or [titles])[0]]
    head = "".join(_cell("th", *each) for each in zip(titles, sides, strict=True))
    body = "".join(f"<tr>{''.join(_cell('td', *each) for each in zip(row, sides, strict=True))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def link(path: Path, title: str) -> str:
    """A link to a file, relative to the working folder if it lies in there."""
    return f'<a href="{quote(show_path(path))}">{text(title)}</a>'


def _cell(tag: str, value: object, side: str) -> str:
    return f'<{tag} style="text-align:{side}">{text(value)}</{tag}>'
