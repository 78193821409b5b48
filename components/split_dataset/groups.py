"""Groups of images, which a split keeps together, and classes too small for three splits."""

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.util.natural_sort import natural_key
from headstart.components.core.util.printable import pluralize
from headstart.components.split_dataset.settings import LEAVE_OUT, SplitSettings


@dataclasses.dataclass(frozen=True, slots=True)
class SplitImage:
    """Columns of one image that decide its split.

    Attributes:
        row: Row number in the dataset.
        id: Hash of its pixels.
        label: Index of its class.
        group: Name of its group: its near-duplicates, and the images of a group that the user names.
        path: Path of its file in the source.
        split: Ready-made split of the source; empty: none.
        near_duplicates: Name of its near-duplicates alone; empty where the user names no groups, as it is `group`.
    """

    row: int
    id: str
    label: int
    group: str
    path: str
    split: str
    near_duplicates: str = ""


Group = list[SplitImage]
"""Images of one group, which all go into one split."""

Assignment = dict[int, str]
"""Split of each image by its row; an image in no split is absent."""


@dataclasses.dataclass(frozen=True, slots=True)
class TinyClass:
    """Class that cannot be in all three splits.

    Attributes:
        images: Number of its images.
        groups: Number of its groups, fewer than three.
        unit: Word for a group that the user names, such as ``patient``; empty: groups are near-duplicates.
    """

    images: int
    groups: int
    unit: str = ""

    @property
    def has_larger_groups(self) -> bool:
        """Whether a group holds more than one of its images."""
        return self.images > self.groups

    def describe(self, name: str) -> str:
        """A clause that says why the class cannot be in all three splits.

        Args:
            name: Name of the class.
        """
        if self.unit and self.has_larger_groups:
            every = f"all {self.images}" if self.groups == 1 else f"the {self.images}"
            of = f"one {self.unit}" if self.groups == 1 else f"{self.groups} {pluralize(self.unit, self.groups)}"
            return f"{every} images of {name} are of {of}"
        if self.images > self.groups == 1:
            return f"all {self.images} images of {name} are near-duplicates of one another"
        if self.has_larger_groups:
            return f"the {self.images} images of {name} are {self.groups} images and near-duplicates of them"
        return f"{name} has {self.images} {'image' if self.images == 1 else 'images'}"


@dataclasses.dataclass(frozen=True)
class GroupedImages:
    """Images of a dataset, group by group.

    Attributes:
        classes: Class names.
        groups: Groups in order of assignment, without classes that are left out.
        tiny: Classes that cannot be in all three splits, by label.
        left_out: Labels of the tiny classes that are left out of the datasets, ascending.
        unit: Word for a group that the user names, such as ``patient``; empty: groups are near-duplicates.
    """

    classes: list[str]
    groups: list[Group]
    tiny: Mapping[int, TinyClass]
    left_out: list[int]
    unit: str = ""


def group_images(
    images: Sequence[SplitImage], classes: list[str], settings: SplitSettings, unit: str = ""
) -> GroupedImages:
    """Groups images in the order in which they are assigned to splits.

    Args:
        images: All images of the dataset.
        classes: Class names.
        settings: Order of assignment, seed, and treatment of tiny classes.
        unit: Word for a group that the user names; empty: none is named.
    """
    tiny = _find_tiny_classes(images, len(classes), unit)
    left_out = sorted(tiny) if settings.tiny_classes == LEAVE_OUT else []
    groups: dict[str, Group] = defaultdict(list)
    for image in images:
        if image.label not in left_out:
            groups[image.group].append(image)
    if settings.order == "name":
        ordered = sorted(groups.values(), key=lambda group: natural_key(group[0].path))
    else:
        ordered = sorted(groups.values(), key=lambda group: hash_position(group, settings.seed))
    return GroupedImages(classes, ordered, tiny, left_out, unit)


def hash_position(group: Group, seed: int) -> float:
    """Pseudo-random number in [0, 1) that depends on the group's name and the seed alone.

    Args:
        group: The group, not empty.
        seed: Random seed.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{group[0].group}".encode()).digest()[:6]) / 2**48


def groups_by_class(groups: Sequence[Group]) -> dict[int, list[Group]]:
    """Groups by the label of the class that they are assigned with, classes with the fewest groups first.

    A group with images of several classes goes with the class that has the fewest groups.

    Args:
        groups: Groups in order of assignment.
    """
    labels = [sorted({image.label for image in group}) for group in groups]
    number = Counter(label for each in labels for label in each)
    by_class: dict[int, list[Group]] = {
        label: [] for label in sorted(number, key=lambda label: (number[label], label))
    }
    for group, each in zip(groups, labels, strict=True):
        by_class[min(each, key=lambda label: (number[label], label))].append(group)
    return by_class


def _find_tiny_classes(images: Sequence[SplitImage], classes: int, unit: str) -> dict[int, TinyClass]:
    sizes = Counter(image.label for image in images)
    groups: dict[int, set[str]] = defaultdict(set)
    for image in images:
        groups[image.label].add(image.group)
    return {
        label: TinyClass(sizes[label], len(groups[label]), unit)
        for label in range(classes)
        if len(groups[label]) < len(SPLITS)
    }
