"""Files that were left out of a dataset, and why."""

import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path

from headstart.components.core.util.spreadsheet import safe_cell

QUARANTINE = "quarantine.csv"
CORRECTED = "corrected"
"""The reason of a picture that is left out because the user wants it so."""


@dataclasses.dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that was left out.

    Attributes:
        file: Its path, as the source names it.
        reason: A word or two to count by: ``truncated``, ``duplicate``.
        detail: What was found, in words.
    """

    file: str
    reason: str
    detail: str


def write_quarantine(path: Path, quarantined: Iterable[Quarantined]) -> None:
    """Writes a CSV file with the columns `file`, `reason` and `detail`, safe to open: see `core.util.spreadsheet`."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "reason", "detail"])
        rows.writerows(map(safe_cell, dataclasses.astuple(each)) for each in quarantined)
