"""Counts of predictions, taken while they are written."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator

import pyarrow as pa


@dataclasses.dataclass
class PredictionCounts:
    """Counts of images, abstentions and unreadable images.

    Attributes:
        images: Number of images in all.
        abstained: Number of images without a label, as the model was not sure enough.
        unreadable: Number of unreadable images by reason.
        first: File, reason and detail of the first unreadable image; empty if all were read.
    """

    images: int = 0
    abstained: int = 0
    unreadable: Counter[str] = dataclasses.field(default_factory=Counter)
    first: str = ""

    def count(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Counts the rows of batches and yields the batches unchanged."""
        for batch in batches:
            self.images += len(batch)
            self.abstained += sum(batch["abstained"].to_pylist())
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
