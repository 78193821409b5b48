"""What was found in the data before training, in short: `hygiene.json`, which goes along with the data."""

import dataclasses
from pathlib import Path

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import Count, read_manifest

HYGIENE = "hygiene.json"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something to look at in the data."""

    title: str
    text: str


@dataclasses.dataclass(frozen=True)
class HygieneSummary:
    """The page on the data in a few figures.

    Attributes:
        files: Files of the sources.
        used: Files that became pictures of the dataset.
        left_out: Files that did not, by reason.
        near_duplicates: Pictures that have a near-duplicate.
        findings: What there is to look at.
        classes: The classes with their counts, in words; empty where an earlier version wrote the summary.
        told: Source of the classes in words: `the folders of pets`; likewise.
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
        """The classes with their pictures, and where they come from; empty where that is not known."""
        return f"{self.classes}; from {self.told}" if self.classes else ""


def write_hygiene(dataset: Path, summary: HygieneSummary) -> None:
    """Puts the summary beside a dataset's shards."""
    write_json(dataset / HYGIENE, dataclasses.asdict(summary))


def read_hygiene(dataset: Path) -> HygieneSummary | None:
    """The summary that lies beside a dataset's shards; None where there is none.

    Raises:
        HeadstartError: It is damaged.
    """
    if not (dataset / HYGIENE).exists():
        return None
    return read_manifest(dataset / HYGIENE, "dataset", HygieneSummary)[0]
