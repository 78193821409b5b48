"""Escaping of CSV cells that a spreadsheet would run as formulas.

Such a cell gets an apostrophe in front. So does one that has apostrophes there already: reading then gives back the
text that was written. All other cells stay unchanged.
"""

import re

FORMULA = "('*[=+\\-@\t\r\n＝＋－＠])"  # noqa: RUF001 - spreadsheets take the wide forms for the same
"""Regular expression, with one group, for the beginning of cells that are escaped."""

_BEGINS = re.compile(FORMULA)


def escape_cell(text: str) -> str:
    """Puts an apostrophe in front of text that a spreadsheet would take for a formula."""
    return f"'{text}" if _BEGINS.match(text) else text


def unescape_cell(cell: str) -> str:
    """Restores the text that `escape_cell` was given."""
    return cell[1:] if cell.startswith("'") and _BEGINS.match(cell) else cell
