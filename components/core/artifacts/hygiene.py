"""Summary of the problems found in the data before training: `hygiene.json`, which stays with the data."""

import dataclasses
from pathlib import Path

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import Count, read_manifest

HYGIENE = "hygiene.json"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One problem that was found in the data."""

    title: str
    text: str


@dataclasses.dataclass(frozen=True)
class HygieneSummary:
    """Summary of the page about the data.

    Attributes:
        files: Number of files in the sources.
        used: Number of files that became images of the dataset.
        left_out: Number of files that did not, by reason.
        near_duplicates: Number of images that have a near-duplicate.
        findings: Problems that were found.
        classes: Classes with their counts, in words; empty if an earlier version wrote the summary.
        told: Source of the classes in words, such as `the folders of pets`; empty if an earlier version wrote it.
    """

    files: Count
    used: Count
    left_out: dict[str, Count]
    near_duplicates: Count
    findings: list[Finding]
    classes: str = ""
    told: str = ""

    @property
    def first_line(self) -> str:
        """The classes with their counts and their source; empty if they are unknown."""
        return f"{self.classes}; from {self.told}" if self.classes else ""


def write_hygiene(dataset: Path, summary: HygieneSummary) -> None:
    """Writes `hygiene.json` into the folder of a dataset."""
    write_json(dataset / HYGIENE, dataclasses.asdict(summary))


def read_hygiene(dataset: Path) -> HygieneSummary | None:
    """Reads `hygiene.json` from the folder of a dataset; None if there is none.

    Raises:
        HeadstartError: If it is damaged.
    """
    if not (dataset / HYGIENE).exists():
        return None
    return read_manifest(dataset / HYGIENE, "dataset", HygieneSummary)[0]
