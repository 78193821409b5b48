"""Settings of a split: sizes of the three sets, order of assignment, seed and folds."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.printable import list_first, quote_name

ORDERS = ("hash", "name", "given")

KEEP, LEAVE_OUT = "keep", "leave_out"
TINY_CLASSES = (KEEP, LEAVE_OUT)
"""Treatments of a class that has fewer than three images, or groups of near-duplicates."""

AUTO, NO_CROSS_VALIDATION = "auto", "0"
"""Numbers of cross-validation folds: chosen by the size of the test set, and none."""

_NAMES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class SplitSizes:
    """Sizes of the training, validation and test sets.

    Attributes:
        counts: Images per class in each of the three; empty: use `fractions`.
        fractions: Parts of each class; images beyond their sum are left out.
        class_counts: Images in each of the three by class name; validation and test may be 0. Empty: use `counts`.

    Raises:
        HeadstartError: If there are not three numbers, one is too small, or fractions add up to more than 1; or if
            both `counts` and `class_counts` are given.
    """

    counts: list[int]
    fractions: list[float]
    class_counts: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, numbers in self.class_counts.items():
            if len(numbers) != len(SPLITS) or min(numbers) < 0 or not numbers[0]:
                raise HeadstartError(
                    f"counts {list(numbers)} of class {quote_name(name)}: give three whole numbers, images for "
                    "train, validation and test, the first of them at least 1, such as 100,20,20"
                )
        if self.class_counts and self.counts:
            raise HeadstartError(f"counts {self.counts} and counts by class exclude one another; give one of them")
        if self.counts:
            if len(self.counts) != len(SPLITS) or min(self.counts) < 1:
                raise HeadstartError(
                    f"counts {self.counts}: give three numbers of at least 1, images per class for train, "
                    "validation and test, such as 1000,500,500"
                )
        elif not self.class_counts and (
            len(self.fractions) != len(SPLITS) or min(self.fractions) <= 0 or sum(self.fractions) > 1 + 1e-9
        ):
            raise HeadstartError(
                f"fractions {self.fractions}: give three numbers above 0 that add up to at most 1, for train, "
                "validation and test, such as 0.7,0.15,0.15"
            )

    def counts_of_classes(self, classes: Sequence[str]) -> list[list[int]]:
        """Images of each class for train, validation and test; empty where fractions are used.

        Args:
            classes: Class names of the dataset.

        Raises:
            HeadstartError: If `class_counts` lacks a class, or names one that the dataset does not have.
        """
        if not self.class_counts:
            return [self.counts for _ in classes] if self.counts else []
        for name in self.class_counts:
            if name not in classes:
                raise_unknown_name("class in counts", name, list(classes))
        missing = [name for name in classes if name not in self.class_counts]
        if missing:
            raise HeadstartError(
                f"counts name no {list_classes(missing)}; give three numbers for each class of the data, or remove "
                "the images of the other classes from the data"
            )
        return [list(self.class_counts[name]) for name in classes]

    def check_files(self, files: Mapping[str, int]) -> None:
        """Refuses counts that the data cannot have, before any image is read.

        Args:
            files: Number of files of each class, of which some may prove unusable.

        Raises:
            HeadstartError: If a class has fewer files than its counts ask for, or see `counts_of_classes`.
        """
        classes = sorted(files)
        for name, counts in zip(classes, self.counts_of_classes(classes), strict=False):
            if files[name] < sum(counts):
                raise HeadstartError(
                    f"class {quote_name(name)} has {files[name]} files, and counts {','.join(map(str, counts))} ask "
                    f"for {sum(counts)}; ask for fewer, give counts by class, or use fractions"
                )


def parse_class_counts(class_counts: Mapping[str, Any]) -> dict[str, list[int]]:
    """Converts counts by class to whole numbers: KFP and JSON make floats of them.

    Args:
        class_counts: Three numbers for each class name.

    Raises:
        HeadstartError: If the value of a class is not a list of whole numbers.
    """
    counts = {}
    for name, numbers in class_counts.items():
        if not isinstance(numbers, list) or not all(
            isinstance(number, int | float) and not isinstance(number, bool) and number % 1 == 0 for number in numbers
        ):
            raise HeadstartError(
                f"counts {numbers!r} of class {quote_name(name)}: give three whole numbers, such as [100,20,20]"
            )
        counts[name] = [int(number) for number in numbers]
    return counts


def list_classes(names: Sequence[str]) -> str:
    """Names the first few classes and counts the others, for messages."""
    return f"class {list_first([repr(name) for name in names], _NAMES_SHOWN)}"


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """Settings by which images are assigned to train, validation and test.

    Attributes:
        sizes: Sizes of the three sets.
        order: ``hash``, ``name`` or ``given``: see `split_dataset`.
        seed: Random seed of the split by hash and of the folds.
        folds: Number of cross-validation folds over train and validation together; 0: none.
        tiny_classes: Treatment of a class of fewer than three images, or groups of near-duplicates. ``keep`` puts it
            into train alone, where nothing evaluates it; ``leave_out`` removes it from the datasets.
        strict_groups: Whether a ready-made split that tears groups of the user's is refused.
        cross_validation: Number of cross-validation folds over all images, in place of validation and test sets;
            `AUTO`: where the test set would be small. ``0``: none.

    Raises:
        HeadstartError: If `order` or `tiny_classes` is unknown, `folds` is 1, or `cross_validation` is no number of
            folds or is given together with sizes of a test set.
    """

    sizes: SplitSizes
    order: str = "hash"
    seed: int = 0
    folds: int = 0
    tiny_classes: str = KEEP
    strict_groups: bool = False
    cross_validation: str = NO_CROSS_VALIDATION

    def __post_init__(self) -> None:
        if self.tiny_classes not in TINY_CLASSES:
            raise_unknown_name("tiny_classes", self.tiny_classes, list(TINY_CLASSES))
        if self.order not in ORDERS:
            raise_unknown_name("order", self.order, list(ORDERS))
        if self.folds and self.folds < 2:
            raise HeadstartError(f"folds {self.folds}: give at least 2, or 0 for none")
        if self.cross_validation != NO_CROSS_VALIDATION:
            self._check_cross_validation()

    def _check_cross_validation(self) -> None:
        folds, sizes = self.cross_validation, self.sizes
        if folds != AUTO and not (folds.isdecimal() and int(folds) >= 2):
            raise HeadstartError(f"folds {folds!r}: give a whole number of at least 2, {AUTO!r}, or 0 for none")
        if self.order == "given":
            raise HeadstartError(
                f"folds {folds} and order 'given' exclude one another: a ready-made split has a test set of its own; "
                "leave one of them out"
            )
        if sizes.counts or sizes.class_counts:
            raise HeadstartError(
                f"folds {folds} and counts exclude one another: with folds every image is trained on and predicted; "
                "leave one of them out"
            )
        if sum(sizes.fractions) < 1 - 1e-9:
            raise HeadstartError(
                f"folds {folds} use all images, and fractions {sizes.fractions} leave some out; let them add up to 1"
            )
