"""Checks of a split: every class that should be evaluated is in all three sets, and nothing is in two of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headstart.components.core.artifacts.cross_validation import find_fold_rows, read_fold_parts
from headstart.components.core.artifacts.dataset import NEAR_DUPLICATES, SPLITS, read_columns
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import pluralize, quote_name
from headstart.components.split_dataset.groups import Assignment, GroupedImages
from headstart.components.split_dataset.settings import LEAVE_OUT, SplitSettings, list_classes


def check_classes_evaluated(data: GroupedImages, assignment: Assignment, settings: SplitSettings) -> None:
    """Logs the classes that are not evaluated or left out, and refuses a split that evaluates too few classes.

    Args:
        data: The images and their classes.
        assignment: Split of each image.
        settings: Settings of the split.

    Raises:
        HeadstartError: If a class is missing from a split, although it is not tiny and its counts ask for images
            there; or if fewer than two classes are in all three splits.
    """
    missing = _missing_splits(data, assignment)
    complete = sum(not splits for splits in missing.values())
    has_class_counts = bool(settings.sizes.class_counts) and settings.order != "given"
    for label, splits in missing.items():
        may_miss = (label in data.tiny or has_class_counts) and "train" not in splits and complete > 1
        if splits and not may_miss:
            raise _missing_error(data, label, splits, settings, complete)
    for label in data.left_out:
        name = data.classes[label]
        event("class_left_out", label=name, why=data.tiny[label].describe(name))
    if data.left_out and complete < 2:
        names = list_classes([data.classes[label] for label in data.left_out])
        raise HeadstartError(
            f"tiny_classes {LEAVE_OUT} leaves out {names}, and {complete} of the others can be evaluated, where an "
            "evaluation needs two; add images"
        )
    for label, splits in missing.items():
        if splits:
            name = data.classes[label]
            why = data.tiny[label].describe(name) if label in data.tiny else "its counts ask for none there"
            event("class_not_evaluated", label=name, missing=" and ".join(splits), why=why)


def _missing_splits(data: GroupedImages, assignment: Assignment) -> dict[int, list[str]]:
    """Splits without an image of a class, by its label."""
    found = {(image.label, assignment.get(image.row)) for group in data.groups for image in group}
    return {
        label: [split for split in SPLITS if (label, split) not in found]
        for label in range(len(data.classes))
        if label not in data.left_out
    }


def _missing_error(
    data: GroupedImages, label: int, splits: Sequence[str], settings: SplitSettings, complete: int
) -> HeadstartError:
    name = data.classes[label]
    images = Counter(image.label for group in data.groups for image in group)[label]
    why = ""
    if label in data.tiny and data.tiny[label].has_larger_groups:
        why = f": {data.tiny[label].describe(name)}, which have to be in one split"
    few = "" if complete > 1 else "; an evaluation needs two classes that have images in all three"
    of_others = f"of other {pluralize(data.unit, 2)}" if data.unit else "other"
    way_out = "add images, or split them anew with --order hash"
    if settings.order != "given":
        way_out = f"add images {of_others}" if data.unit else f"add {of_others} images"
    return HeadstartError(
        f"class {quote_name(name)} has {images} usable images, and {_cause(name, settings)} none for "
        f"{' and '.join(splits)}{why}{few}; {way_out}"
    )


def _cause(name: str, settings: SplitSettings) -> str:
    """Subject and verb that name what leaves a class out of a split."""
    if settings.order == "given":
        return "the ready-made split leaves"
    if settings.sizes.class_counts:
        return f"counts {','.join(map(str, settings.sizes.class_counts[name]))} leave"
    return f"fractions {','.join(f'{part:g}' for part in settings.sizes.fractions)} leave"


def check_no_leak(folders: Mapping[str, Path], torn: bool = False) -> None:
    """Reads the datasets back: no image and no group may be in two of them.

    Args:
        folders: Dataset artifact of each split.
        torn: Whether a ready-made split may tear groups of the user's; near-duplicates must be in one even then.

    Raises:
        AssertionError: If one is.
    """
    for column in ("id", NEAR_DUPLICATES if torn else "group"):
        split_of: dict[str, str] = {}
        for split, folder in folders.items():
            for key in set(read_columns(folder, [column])[column].to_pylist()):
                if split_of.setdefault(key, split) != split:
                    raise AssertionError(f"{column} {key} is both in {split_of[key]} and in {split}")


def check_no_leak_between_folds(train: Path) -> None:
    """Reads a training set back that is cross-validated: no group may be on two sides of a fold.

    Args:
        train: Dataset artifact.

    Raises:
        AssertionError: If one is.
    """
    parts = read_fold_parts(train)
    assert parts is not None  # noqa: S101 - for the type checker
    groups = np.array(read_columns(train, ["group"])["group"].to_pylist(), object)
    for fold in range(parts.folds):
        rows = find_fold_rows(train, parts, fold)
        sides = [set(groups[each]) for each in (rows.train, rows.validation, rows.held_out)]
        if sum(map(len, sides)) > len(set.union(*sides)):
            raise AssertionError(f"fold {fold} has a group on two sides")
