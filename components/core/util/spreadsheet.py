"""Cells of CSV files that people open: a spreadsheet takes text that begins like a formula for one, and runs it.

Such a cell gets an apostrophe in front, and so does one that has apostrophes there already: what is read back is the
text that was written. All other cells stay as they are.
"""

import re

FORMULA = "('*[=+\\-@\t\r\n＝＋－＠])"  # noqa: RUF001 - spreadsheets take the wide forms for the same
"""A regular expression for the beginning of a cell that needs it, with or without apostrophes; one group."""

_BEGINS = re.compile(FORMULA)


def escape_cell(text: str) -> str:
    """The text as a spreadsheet may have it: with an apostrophe in front where it would be taken for a formula."""
    return f"'{text}" if _BEGINS.match(text) else text


def unescape_cell(cell: str) -> str:
    """The text that `escape_cell` has made a cell of."""
    return cell[1:] if cell.startswith("'") and _BEGINS.match(cell) else cell
