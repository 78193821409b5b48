"""Images of labelled data that a trained model was not evaluated on, by reason: `selection.json`."""

import dataclasses
from pathlib import Path

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import Count, read_manifest

SELECTION = "selection.json"


@dataclasses.dataclass(frozen=True)
class Selection:
    """Numbers of images that were left out of a test set.

    Attributes:
        images: Number of images of the data.
        seen: Number of images that the model was trained or tuned on, or that are near-duplicates of such images.
        unknown_classes: Number of images of each class that the model does not know.
    """

    images: Count
    seen: Count
    unknown_classes: dict[str, Count]

    def in_words(self) -> str:
        """What was left out, in words; empty if all images were kept."""
        parts = []
        if self.seen:
            parts.append(f"{self.seen:,} that the model was trained or tuned on, near-duplicates of them included")
        if self.unknown_classes:
            names = ", ".join(self.unknown_classes)
            parts.append(f"{sum(self.unknown_classes.values()):,} of classes that it does not know ({names})")
        return f"of {self.images:,} images in the data: {'; '.join(parts)}" if parts else ""


def write_selection(dataset: Path, selection: Selection) -> None:
    """Writes `selection.json` into the folder of a dataset."""
    write_json(dataset / SELECTION, dataclasses.asdict(selection))


def read_selection(dataset: Path) -> Selection | None:
    """Reads `selection.json` from the folder of a dataset; None if nothing was selected.

    Raises:
        HeadstartError: If the file is damaged.
    """
    if not (dataset / SELECTION).exists():
        return None
    return read_manifest(dataset / SELECTION, "dataset", Selection)[0]
