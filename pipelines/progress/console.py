"""Printing to the user: the one way in which commands write lines, tables and text.

The display of a run, and predictions, write by themselves.
"""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from headstart.components.core.util.printable import escape_unprintable


def say(*lines: object, console: Console | None = None, style: str = "") -> None:
    """Prints lines as they are: neither wrapped nor coloured, control characters escaped.

    Args:
        lines: The lines.
        console: Console of a display that may be drawing; None: standard output.
        style: Style of the lines on a terminal, such as ``red``.
    """
    console = console or Console()
    for line in lines:
        console.print(Text(escape_unprintable(str(line)), style), soft_wrap=True)


def say_error(*lines: object, style: str = "") -> None:
    """Prints lines to standard error, as `say` does to standard output."""
    say(*lines, console=Console(stderr=True), style=style)


def write_text(text: str) -> None:
    """Writes text to standard output as it is, for files and other programs.

    Args:
        text: Text, its line ends included.
    """
    sys.stdout.write(text)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], console: Console | None = None) -> None:
    """Prints a table without a frame; cells are printed as they are, control characters escaped.

    Args:
        titles: Titles of the columns.
        rows: Cells of each row, as many as there are titles.
        console: Console to print to; None: standard output.
    """
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape_unprintable(cell)) for cell in row))
    (console or Console()).print(table)
