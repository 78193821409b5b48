"""Assignment of groups to train, validation and test: by counts, by fractions, or as the source says."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import quote_name
from headstart.components.split_dataset.apportionment import assign_by_hash, assign_in_order, largest_remainder
from headstart.components.split_dataset.groups import Assignment, Group, GroupedImages, groups_by_class, hash_position
from headstart.components.split_dataset.settings import SplitSettings
from headstart.components.split_dataset.user_groups import (
    assign_user_group_folds,
    assign_user_groups,
    list_near_duplicates,
    report_torn,
    select_images,
    take_in_order,
)

_Preference = tuple[Group, Sequence[str]]
"""A group, and the splits that it may go to, the best first."""


def assign_splits(data: GroupedImages, settings: SplitSettings) -> Assignment:
    """Assigns every group to a split, or to none.

    Args:
        data: Groups in order of assignment.
        settings: Sizes of the splits, order and seed.

    Raises:
        HeadstartError: If a class has too few images for its counts, its groups do not fill them exactly, or the
            source has no ready-made split where it is asked for.
    """
    if settings.order == "given":
        return _assign_as_given(data, settings)
    counts = settings.sizes.counts_of_classes(data.classes)
    if counts:
        _check_enough_images(data, {label: each for label, each in enumerate(counts) if label not in data.left_out})
    if data.unit and settings.order == "hash":
        return assign_user_groups(data, settings)
    if counts:
        return take_in_order(data, counts, settings) if data.unit else _assign_by_counts(data, counts, settings)
    return _assign_by_fractions(data, settings)


def assign_folds(data: GroupedImages, assignment: Assignment, settings: SplitSettings) -> dict[int, int]:
    """Fold of each training and validation image by its row: each class is spread evenly, groups stay together.

    Args:
        data: Groups in order of assignment.
        assignment: Split of each image.
        settings: Number of folds, 0 for none, and seed.

    Raises:
        HeadstartError: If the user names groups, and there are fewer of them than folds.
    """
    folds = settings.folds
    if not folds:
        return {}
    if data.unit:
        return assign_user_group_folds(data, assignment, settings)
    sizes: dict[int, list[int]] = defaultdict(lambda: [0] * folds)
    fold_of: dict[int, int] = {}
    for group in data.groups:
        learning = [image for image in group if assignment.get(image.row) in ("train", "validation")]
        if learning:
            of_class = sizes[learning[0].label]
            fold = of_class.index(min(of_class))
            of_class[fold] += len(learning)
            fold_of.update((image.row, fold) for image in learning)
    return fold_of


def _assign_by_counts(data: GroupedImages, counts: list[list[int]], settings: SplitSettings) -> Assignment:
    wanted = {label: each for label, each in enumerate(counts) if label not in data.left_out}
    for preferences in _preferences(data.groups, counts, settings):
        capacity = {
            (label, split): n for label, each in wanted.items() for split, n in zip(SPLITS, each, strict=True)
        }
        assignment = _fill(capacity, preferences)
        if not any(capacity.values()):
            return assignment
    short = min(label for (label, _), left in capacity.items() if left)
    name = data.classes[short]
    why = f" ({data.tiny[short].describe(name)})" if short in data.tiny else ""
    raise HeadstartError(
        f"class {quote_name(name)} has enough usable images for counts {_listed(counts[short])}, but its groups of "
        f"near-duplicates, each of which lies in one split, do not fill them exactly{why}; ask for fewer, "
        "or use fractions"
    )


def _check_enough_images(data: GroupedImages, wanted: Mapping[int, list[int]]) -> None:
    images = Counter(image.label for group in data.groups for image in group)
    for label, each in wanted.items():
        if images[label] < sum(each):
            raise HeadstartError(
                f"class {quote_name(data.classes[label])} has {images[label]} usable images, and counts "
                f"{_listed(each)} ask for {sum(each)}; ask for fewer, give counts by class, or use fractions"
            )


def _listed(counts: Sequence[int]) -> str:
    return ",".join(map(str, counts))


def _preferences(
    groups: Sequence[Group], counts: list[list[int]], settings: SplitSettings
) -> Iterator[list[_Preference]]:
    """Yields preferences to fill the counts by, in the order in which they are tried."""
    anywhere: list[_Preference] = [(group, SPLITS) for group in groups]
    if settings.order != "hash":
        yield anywhere
        return
    # Each group prefers the split that its hash points to, so that other images hardly change its place. Where
    # single images take the capacity that groups need, larger groups come first.
    pointed: list[_Preference] = [
        (group, [_split_at(hash_position(group, settings.seed), counts[group[0].label])]) for group in groups
    ]
    yield pointed + anywhere
    yield pointed + _largest_first(anywhere)
    yield [(group, [*splits, *SPLITS]) for group, splits in _largest_first(pointed)]


def _split_at(position: float, counts: Sequence[int]) -> str:
    """The split at a position in [0, 1), where each split takes a stretch in proportion to its count."""
    upper = 0.0
    for split, count in zip(SPLITS, counts, strict=True):
        upper += count / sum(counts)
        if position < upper:
            return split
    return next(split for split, count in reversed(list(zip(SPLITS, counts, strict=True))) if count)


def _largest_first(preferences: list[_Preference]) -> list[_Preference]:
    return sorted(preferences, key=lambda preference: len(preference[0]), reverse=True)


def _fill(capacity: dict[tuple[int, str], int], preferences: list[_Preference]) -> Assignment:
    """Assigns each group to its first preferred split that has capacity, and takes that capacity away.

    Args:
        capacity: Images that each class (by label) may still put into each split; changed in place.
        preferences: Groups with their preferred splits; a group that is assigned already is skipped.
    """
    assignment: Assignment = {}
    for group, splits in preferences:
        if group[0].row in assignment:
            continue
        sizes = Counter(image.label for image in group)
        for split in splits:
            if all(capacity[label, split] >= size for label, size in sizes.items()):
                for label, size in sizes.items():
                    capacity[label, split] -= size
                assignment.update((image.row, split) for image in group)
                break
    return assignment


def _assign_by_fractions(data: GroupedImages, settings: SplitSettings) -> Assignment:
    fractions = settings.sizes.fractions
    unused = max(0.0, 1 - sum(fractions))
    proportions = {**dict(zip(SPLITS, fractions, strict=True)), "": unused if unused > 1e-9 else 0.0}
    assignment: Assignment = {}
    others: list[Group] = []
    for label, groups in groups_by_class(data.groups).items():
        if label in data.tiny:
            assignment.update((image.row, "train") for group in groups for image in group)
        else:
            others += groups
    assignment |= apportion(others, proportions, settings)
    return assignment


def apportion(groups: Sequence[Group], proportions: Mapping[str, float], settings: SplitSettings) -> Assignment:
    """Assigns groups class by class, in exact proportions.

    Args:
        groups: Groups in order of assignment.
        proportions: Part of each class by split; the split with the empty name is none.
        settings: Order and seed.
    """
    splits, parts = list(proportions), list(proportions.values())
    required = sum(map(bool, splits))
    assignment: Assignment = {}
    # Images of each class that are assigned already, with a near-duplicate of another class.
    taken: Counter[tuple[int, int]] = Counter()
    for label, each in groups_by_class(groups).items():
        sizes = [sum(image.label == label for image in group) for group in each]
        already = [taken[label, at] for at in range(len(splits))]
        if settings.order == "name":
            assigned = assign_in_order(sizes, largest_remainder(sum(sizes), parts, required), required)
        else:
            totals = largest_remainder(sum(sizes) + sum(already), parts, required)
            capacities = [total - full for total, full in zip(totals, already, strict=True)]
            positions = [hash_position(group, settings.seed) for group in each]
            assigned = assign_by_hash(sizes, positions, parts, capacities, required)
        for group, at in zip(each, assigned, strict=True):
            taken.update((image.label, at) for image in group)
            if splits[at]:
                assignment.update((image.row, splits[at]) for image in group)
    return assignment


def _assign_as_given(data: GroupedImages, settings: SplitSettings) -> Assignment:
    ready = {image.split for group in data.groups for image in group} - {""}
    if "train" not in ready:
        found = ", ".join(sorted(ready)) or "no ready-made split"
        raise HeadstartError(f"order 'given' needs train and test folders or a split column; the data has {found}")
    assignment: Assignment = {}
    for_training: dict[int, list[Group]] = defaultdict(list)
    for group in list_near_duplicates(data):
        # The split that is used last keeps its images; near-duplicates of them in earlier splits would leak.
        last = max((image.split for image in group if image.split), key=SPLITS.index, default="")
        same = [image for image in group if last and image.split == last]
        if last == "train":
            for_training[same[0].label].append(same)
        else:
            assignment.update((image.row, last) for image in same)
    splits = ["train", *(split for split in SPLITS if split not in ready)]
    if data.unit:
        report_torn(data, assignment, for_training, settings)
        if len(splits) > 1:
            learning = {image.row for groups in for_training.values() for group in groups for image in group}
            return assignment | assign_user_groups(select_images(data, learning), settings, splits)
    counts = settings.sizes.counts_of_classes(data.classes)
    for label, groups in for_training.items():
        sizes = dict(zip(SPLITS, counts[label] if counts else settings.sizes.fractions, strict=True))
        if len(groups) < len(splits):
            # Too few groups to take a validation or test set from.
            assignment.update((image.row, "train") for group in groups for image in group)
        else:
            assignment |= apportion(groups, {split: sizes[split] for split in splits}, settings)
    return assignment
