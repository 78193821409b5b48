"""Splits of data whose groups the user names, such as patients: whole groups, as near to the sizes as they allow."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import list_first, pluralize, quote_name
from headstart.components.split_dataset.groups import Assignment, Group, GroupedImages, SplitImage, hash_position
from headstart.components.split_dataset.settings import SplitSettings
from headstart.components.split_dataset.whole_groups import Parts, assign_whole_groups

_FAR = 0.25
"""Deviation from the size of a class in a split, as a share of that size, from which it is a warning."""

_FEW = 3
"""Images by which a size must be missed for a warning."""

_SHOWN = 3


def assign_user_groups(data: GroupedImages, settings: SplitSettings, splits: Sequence[str] = SPLITS) -> Assignment:
    """Assigns whole groups to splits by hash, as near to fractions or counts as they allow.

    A class that has fewer groups than there are splits goes into train, with all of its groups. With counts, images
    beyond them are in no split.

    Args:
        data: Groups in order of assignment.
        settings: Sizes of the splits, and seed.
        splits: Splits to assign to, ``train`` first.
    """
    sizes = count_images(data.groups, len(data.classes))
    wanted = [SPLITS.index(split) for split in splits]
    counts = settings.sizes.counts_of_classes(data.classes)
    images = sizes.sum(axis=0).astype(np.float64)
    if counts:
        targets = np.array(counts, np.float64).T[wanted]
        targets *= np.minimum(1, images / np.maximum(targets.sum(axis=0), 1))
    else:
        # A ready-made split leaves fewer than all splits to fill; those get all images.
        fractions = np.array(settings.sizes.fractions)[wanted]
        fractions /= 1 if len(splits) == len(SPLITS) else fractions.sum()
        targets = fractions[:, None] * images
    spare = np.maximum(0, images - targets.sum(axis=0))
    parts = Parts(np.vstack([targets, np.where(spare > 1e-6, spare, 0)]), len(splits))
    tiny = (sizes > 0).sum(axis=0) < len(splits)
    fixed = np.where(sizes[:, tiny].any(axis=1), 0, -1)
    positions = [hash_position(group, settings.seed) for group in data.groups]
    assigned = assign_whole_groups(sizes, positions, parts, fixed)
    if counts:
        _fill_shortages(sizes, assigned, targets)
    assignment = {
        image.row: splits[at]
        for group, at in zip(data.groups, assigned.tolist(), strict=True)
        for image in group
        if at < len(splits)
    }
    if counts:
        assignment = _take_counts(data, assignment, counts, settings.seed)
    _report(data, assignment, dict(zip(splits, targets, strict=True)), bool(counts))
    return assignment


def assign_user_group_folds(data: GroupedImages, assignment: Assignment, settings: SplitSettings) -> dict[int, int]:
    """Fold of each training and validation image by its row; see `assign_folds`.

    Args:
        data: Groups in order of assignment.
        assignment: Split of each image.
        settings: Number of folds, and seed.

    Raises:
        HeadstartError: If there are fewer groups than folds.
    """
    learning = {row for row, split in assignment.items() if split in ("train", "validation")}
    kept = select_images(data, learning)
    if len(kept.groups) < settings.folds:
        number = len(kept.groups)
        raise HeadstartError(
            f"folds {settings.folds} need as many {pluralize(data.unit, 2)} for train and validation, and there "
            f"{'is' if number == 1 else 'are'} {number}; ask for fewer folds, or add {pluralize(data.unit, 2)}"
        )
    sizes = count_images(kept.groups, len(data.classes))
    targets = np.tile(sizes.sum(axis=0) / settings.folds, (settings.folds, 1))
    # Positions of their own, as those of the split leave out the part of the test set.
    positions = [hash_position(group, settings.seed + 1) for group in kept.groups]
    folds = assign_whole_groups(sizes, positions, Parts(targets, settings.folds), stay=0)
    pairs = zip(kept.groups, folds.tolist(), strict=True)
    return {image.row: fold for group, fold in pairs for image in group}


def take_in_order(data: GroupedImages, counts: Sequence[Sequence[int]], settings: SplitSettings) -> Assignment:
    """Assigns whole groups in their order: each to the first split that still lacks images of one of its classes.

    Args:
        data: Groups in order of assignment.
        counts: Images of each class for train, validation and test.
        settings: Seed by which images beyond the counts are left out.
    """
    missing = np.array(counts).T
    assignment: Assignment = {}
    for group, sizes in zip(data.groups, count_images(data.groups, len(data.classes)), strict=True):
        lacking = np.flatnonzero((np.minimum(missing, sizes) > 0).any(axis=1))
        if len(lacking):
            assignment.update((image.row, SPLITS[lacking[0]]) for image in group)
            missing[lacking[0]] = np.maximum(0, missing[lacking[0]] - sizes)
    assignment = _take_counts(data, assignment, counts, settings.seed)
    targets = dict(zip(SPLITS, np.array(counts, np.float64).T, strict=True))
    _report(data, assignment, targets, by_counts=True)
    return assignment


def list_near_duplicates(data: GroupedImages) -> list[Group]:
    """Groups of near-duplicates alone, in order of assignment.

    Args:
        data: Groups in order of assignment.
    """
    if not data.unit:
        return data.groups
    groups: dict[str, Group] = defaultdict(list)
    for group in data.groups:
        for image in group:
            groups[image.near_duplicates].append(image)
    return list(groups.values())


def select_images(data: GroupedImages, rows: Collection[int]) -> GroupedImages:
    """Groups of some of the images.

    Args:
        data: Groups in order of assignment.
        rows: Rows of the images.
    """
    groups = [[image for image in group if image.row in rows] for group in data.groups]
    return GroupedImages(data.classes, [group for group in groups if group], data.tiny, data.left_out, data.unit)


def report_torn(
    data: GroupedImages, assignment: Assignment, for_training: Mapping[int, Sequence[Group]], settings: SplitSettings
) -> None:
    """Says how many groups a ready-made split tears.

    Args:
        data: Groups in order of assignment.
        assignment: Split of the validation and test images.
        for_training: Groups of near-duplicates for training by label.
        settings: Whether that is refused.

    Raises:
        HeadstartError: If it is refused, and there are such groups.
    """
    train = {image.row for groups in for_training.values() for group in groups for image in group}
    torn = []
    for group in data.groups:
        splits = {assignment.get(image.row) or ("train" if image.row in train else "") for image in group} - {""}
        if len(splits) > 1:
            torn.append(group)
    if not torn:
        return
    images = sum(assignment.get(image.row) == "test" for group in torn for image in group)
    units = pluralize(data.unit, len(data.groups))
    found = f"the ready-made split tears {len(torn):,} of {len(data.groups):,} {units}"
    if settings.strict_groups:
        raise HeadstartError(f"{found}, and strict_groups refuses that; split them anew with --order hash")
    event(
        "warning",
        text=f"{found}: {images:,} test images are of some that other splits have too, so the test says little about "
        f"other {pluralize(data.unit, 2)}; split them anew with --order hash, or refuse it with --strict-groups",
    )


def count_images(groups: Sequence[Group], classes: int) -> NDArray[np.int64]:
    """Images of each class in each group, (groups, classes)."""
    sizes = np.zeros((len(groups), classes), np.int64)
    places = [(number, image.label) for number, group in enumerate(groups) for image in group]
    np.add.at(sizes, tuple(np.array(places, np.int64).reshape(-1, 2).T), 1)
    return sizes


def _fill_shortages(sizes: NDArray[np.int64], assigned: NDArray[np.int64], targets: NDArray[np.float64]) -> None:
    """Gives groups in no split to splits that lack images: those beyond the counts can be left out.

    Args:
        sizes: Images of each class in each group, (groups, classes).
        assigned: Split of each group, (groups,); changed in place.
        targets: Images of each class that each split should have, (splits, classes).
    """
    while True:
        numbers = np.zeros((len(targets) + 1, sizes.shape[1]))
        np.add.at(numbers, assigned, sizes)
        short = np.maximum(0, targets - numbers[:-1])
        spare = np.flatnonzero(assigned == len(targets))
        gains = np.stack([np.minimum(sizes[spare], each).sum(axis=1) for each in short], axis=1)
        if not gains.any():
            return
        # Of those that fill most, the smallest: fewer of its images are left out.
        best = np.lexsort((np.repeat(sizes[spare].sum(axis=1), len(targets)), -gains.ravel()))[0]
        assigned[spare[best // len(targets)]] = best % len(targets)


def _take_counts(
    data: GroupedImages, assignment: Assignment, counts: Sequence[Sequence[int]], seed: int
) -> Assignment:
    """Leaves out images of a class beyond its counts, by a hash of each."""
    members: dict[tuple[int, str], list[SplitImage]] = defaultdict(list)
    for group in data.groups:
        for image in group:
            if image.row in assignment:
                members[image.label, assignment[image.row]].append(image)
    kept: Assignment = {}
    for (label, split), images in members.items():
        images.sort(key=lambda image: hashlib.sha256(f"{seed}:{image.id}".encode()).digest())
        kept.update((image.row, split) for image in images[: counts[label][SPLITS.index(split)]])
    return kept


def _report(
    data: GroupedImages, assignment: Assignment, targets: Mapping[str, NDArray[np.float64]], by_counts: bool
) -> None:
    """Logs the number of groups in each split, and warns of sizes that whole groups miss."""
    numbers = Counter((image.label, assignment.get(image.row)) for group in data.groups for image in group)
    groups = Counter(split for group in data.groups for split in {assignment.get(image.row) for image in group})
    event("groups_split", unit=data.unit, groups=len(data.groups), **{split: groups[split] for split in targets})
    missed = []
    for split, sizes in targets.items():
        for label, wanted in enumerate(sizes.tolist()):
            off = abs(numbers[label, split] - wanted)
            usual = label in data.tiny or label in data.left_out
            if off >= 1 if by_counts else off > max(_FEW, _FAR * wanted) and not usual:
                missed.append((-off / max(1, wanted), label, split, wanted))
    if not missed:
        return
    units = pluralize(data.unit, 2)
    texts = [
        f"{numbers[label, split]:,} instead of {wanted:,.0f} images of {quote_name(data.classes[label])} for {split}"
        for _, label, split, wanted in sorted(missed)
    ]
    worst = min(missed)[1]
    sizes_of_worst = [sum(image.label == worst for image in group) for group in data.groups]
    largest, several = max(sizes_of_worst), sum(map(bool, sizes_of_worst))
    name, asked = quote_name(data.classes[worst]), "counts" if by_counts else "fractions"
    event(
        "warning",
        text=f"whole {units} give {list_first(texts, _SHOWN)}; the largest of {several:,} with {name} has "
        f"{largest:,} of {sum(sizes_of_worst):,}: add images of other {units}, or ask for other {asked}",
    )
