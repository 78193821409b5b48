"""Counts of predictions, taken while they are written."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator

import pyarrow as pa

from headstart.components.core.sources.file_names import escape_name

_NAMED = 3
"""Files passed over that a line names; the others are counted."""


@dataclasses.dataclass
class PredictionCounts:
    """Counts of images, abstentions and unreadable images.

    Attributes:
        images: Number of images in all.
        abstained: Number of images without a label, as the model was not sure enough or they are unfamiliar.
        unfamiliar: Number of images that are flagged as unfamiliar.
        unreadable: Number of unreadable images by reason.
        first: File, reason and detail of the first unreadable image; empty if all were read.
        passed_over: Number of files in folders and behind patterns that are not images.
        first_passed_over: Paths of the first of them.
    """

    images: int = 0
    abstained: int = 0
    unfamiliar: int = 0
    unreadable: Counter[str] = dataclasses.field(default_factory=Counter)
    first: str = ""
    passed_over: int = 0
    first_passed_over: list[str] = dataclasses.field(default_factory=list)

    def count(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Counts the rows of batches and yields the batches unchanged."""
        for batch in batches:
            self.images += len(batch)
            self.abstained += sum(batch["abstained"].to_pylist())
            self.unfamiliar += sum(map(bool, batch["unfamiliar"].to_pylist()))
            reasons = batch["reason"].to_pylist()
            self.unreadable.update(reason for reason in reasons if reason)
            if not self.first and any(reasons):
                row = next(place for place, reason in enumerate(reasons) if reason)
                self.first = ": ".join(str(batch[name][row]) for name in ("file", "reason", "detail"))
            yield batch

    def in_words(self) -> str:
        """Number of unreadable images and their reasons in words; empty if all were read."""
        if not self.unreadable:
            return ""
        reasons = ", ".join(f"{number} {reason}" for reason, number in self.unreadable.most_common())
        return f"{self.unreadable.total()} of {self.images} images could not be read: {reasons}"

    def pass_over(self, path: str) -> None:
        """Counts a file that is not an image."""
        self.passed_over += 1
        if self.passed_over <= _NAMED:
            self.first_passed_over.append(escape_name(path))

    def passed_over_in_words(self) -> str:
        """Number and first names of the files that are not images, in words; empty if there were none."""
        if not self.passed_over:
            return ""
        more = self.passed_over - len(self.first_passed_over)
        names = ", ".join(self.first_passed_over) + (f" and {more:,} more" if more else "")
        files = "1 file that is not an image" if self.passed_over == 1 else f"{self.passed_over:,} files, not images"
        return f"passed over {files}: {names}"
