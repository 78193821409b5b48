"""Files that are left out of a dataset, with reasons: `quarantine.csv`."""

import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path

from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.spreadsheet import escape_cell, unescape_cell

QUARANTINE = "quarantine.csv"
CORRECTED = "corrected"
"""Reason of an image that the user's corrections leave out."""


@dataclasses.dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """A file that is left out of the dataset.

    Attributes:
        file: Path as the source names it.
        reason: Short reason to count by, such as ``truncated`` or ``duplicate``.
        detail: Description of the problem, a clause.
    """

    file: str
    reason: str
    detail: str


def write_quarantine(path: Path, quarantined: Iterable[QuarantinedFile]) -> None:
    """Writes a CSV file with the columns `file`, `reason` and `detail`.

    Cells are escaped so that a spreadsheet runs none of them as a formula: see `core.util.spreadsheet`.

    Args:
        path: File to write.
        quarantined: Files that are left out.
    """
    path.write_text("file,reason,detail\r\n", encoding="utf-8", newline="")
    append_quarantine(path, quarantined)


def append_quarantine(path: Path, quarantined: Iterable[QuarantinedFile]) -> None:
    """Writes further rows to a file of `write_quarantine`.

    Args:
        path: File to extend.
        quarantined: Files that are left out.
    """
    with path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows(map(escape_cell, dataclasses.astuple(each)) for each in quarantined)


def read_quarantine(path: Path) -> list[QuarantinedFile]:
    """Reads a file of `write_quarantine`.

    Args:
        path: File to read.

    Raises:
        HeadstartError: If it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return [
                QuarantinedFile(*(unescape_cell(row[field.name]) for field in dataclasses.fields(QuarantinedFile)))
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise HeadstartError(f"{path} cannot be read ({error}); run the command again") from None
