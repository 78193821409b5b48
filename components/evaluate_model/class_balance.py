"""Class balance: the images of each class in each split."""

import dataclasses
from typing import Any

from headstart.components.core.artifacts.dataset import SPLITS


@dataclasses.dataclass(frozen=True)
class ClassBalance:
    """Images of each class in each split.

    Attributes:
        splits: Names of the splits whose counts are known.
        rows: Name of each class with its number of images in each of these splits.
    """

    splits: list[str]
    rows: list[tuple[str, list[int]]]

    @property
    def totals(self) -> list[int]:
        """Number of images in each split."""
        return [sum(column) for column in zip(*(counts for _, counts in self.rows), strict=True)]

    @property
    def largest(self) -> int:
        """Largest number of images of a class in a split."""
        return max(count for _, counts in self.rows for count in counts)


def compute_class_balance(model: dict[str, Any], metrics: dict[str, Any]) -> ClassBalance:
    """Joins the counts of the splits that the model was trained on with those of the test images.

    Args:
        model: `model.json` of the final model; one of an earlier version has no `class_counts`.
        metrics: Content of `metrics.json`.
    """
    counts = dict(model.get("class_counts") or {})
    counts["test"] = {name: each["images"] for name, each in metrics["test"]["per_class"].items()}
    splits = [name for name in SPLITS if name in counts]
    return ClassBalance(splits, [(name, [counts[split][name] for split in splits]) for name in metrics["classes"]])
