"""Deals a dataset out into train, validation and test, as a function of its content."""

import contextlib
import dataclasses
import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.dataset import (
    NO_FOLD,
    SPLITS,
    DatasetInfo,
    DatasetWriter,
    read_columns,
    read_info,
    read_rows,
)
from headstart.components.core.artifacts.hygiene import HYGIENE
from headstart.components.core.artifacts.left_out import write_left_out
from headstart.components.core.artifacts.originals import ORIGINALS
from headstart.components.core.storage.files import full_disk_in_one_line
from headstart.components.core.util.errors import HeadstartError, unknown_name
from headstart.components.core.util.logs import event, start_logging, tracked
from headstart.components.core.util.natural_sort import natural_key
from headstart.components.core.util.printable import quoted
from headstart.components.split_dataset.apportionment import dealt_by_hash, dealt_in_order, largest_remainder

ORDERS = ("hash", "name", "given")

KEEP, LEAVE_OUT = "keep", "leave_out"
TINY_CLASSES = (KEEP, LEAVE_OUT)
"""What becomes of a class that has fewer than three images, or groups of near-duplicates."""

_NAMED = 3
"""Classes that a message names; the others it counts."""


@dataclasses.dataclass(frozen=True)
class Shares:
    """How much goes into train, validation and test.

    Attributes:
        counts: Images per class in each of the three; empty: go by `fractions`.
        fractions: Parts of each class; what is missing to 1 is left out.
        class_counts: Images in each of the three, by class; validation and test may get none. Empty: go by `counts`.

    Raises:
        HeadstartError: If the numbers are not three, are too small, or add up to more than a whole; or if there are
            counts both for every class and by class.
    """

    counts: list[int]
    fractions: list[float]
    class_counts: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, numbers in self.class_counts.items():
            if len(numbers) != len(SPLITS) or min(numbers) < 0 or not numbers[0]:
                raise HeadstartError(
                    f"counts {list(numbers)} of class {quoted(name)}: give three whole numbers, images for train, "
                    "validation and test, of which the first is at least 1, such as 100,20,20"
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

    def by_class(self, classes: Sequence[str]) -> list[list[int]]:
        """Counts for train, validation and test of each class, in the order of the classes; empty: there are none.

        Raises:
            HeadstartError: If counts by class leave a class out, or name one that the data do not have.
        """
        if not self.class_counts:
            return [self.counts for _ in classes] if self.counts else []
        for name in self.class_counts:
            if name not in classes:
                unknown_name("class in counts", name, list(classes))
        missing = [name for name in classes if name not in self.class_counts]
        if missing:
            raise HeadstartError(
                f"counts name no {_listed('class', missing)}; give three numbers for each class of the data, or take "
                "the pictures of the others out of the data"
            )
        return [list(self.class_counts[name]) for name in classes]


def whole_counts(class_counts: Mapping[str, Any]) -> dict[str, list[int]]:
    """Counts by class as whole numbers: KFP and JSON make floats of them.

    Args:
        class_counts: Three numbers for each class.

    Raises:
        HeadstartError: If the value of a class is no list of whole numbers.
    """
    counts = {}
    for name, numbers in class_counts.items():
        if not isinstance(numbers, list) or not all(
            isinstance(number, int | float) and not isinstance(number, bool) and number % 1 == 0 for number in numbers
        ):
            raise HeadstartError(
                f"counts {numbers!r} of class {quoted(name)}: give three whole numbers, such as [100,20,20]"
            )
        counts[name] = [int(number) for number in numbers]
    return counts


def _listed(noun: str, names: Sequence[str]) -> str:
    """The first few names after their noun, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{noun} {', '.join(map(repr, names[:_NAMED]))}{more}"


@dataclasses.dataclass(frozen=True)
class Dealing:
    """How images are dealt out.

    Attributes:
        shares: How much goes where.
        order: ``hash``, ``name`` or ``given``: see `split_dataset`.
        seed: Another seed gives another split, by hash, and other folds.
        folds: Cross-validation folds over train and validation together; 0: none.
        tiny_classes: ``keep`` puts a class of fewer than three images, or groups of near-duplicates, into train
            alone, where nothing evaluates it; ``leave_out`` leaves it out of the datasets.

    Raises:
        HeadstartError: If `order` or `tiny_classes` is unknown, or there is one fold.
    """

    shares: Shares
    order: str = "hash"
    seed: int = 0
    folds: int = 0
    tiny_classes: str = KEEP

    def __post_init__(self) -> None:
        if self.tiny_classes not in TINY_CLASSES:
            unknown_name("tiny_classes", self.tiny_classes, list(TINY_CLASSES))
        if self.order not in ORDERS:
            unknown_name("order", self.order, list(ORDERS))
        if self.folds and self.folds < 2:
            raise HeadstartError(f"folds {self.folds}: give at least 2, or 0 for none")


@dataclasses.dataclass(frozen=True, slots=True)
class _Image:
    row: int
    id: str
    label: int
    group: str
    path: str
    split: str


_Group = list[_Image]
_Places = dict[int, str]
"""The split of each image by its row; an image that goes nowhere is absent."""

_Offer = tuple[_Group, Sequence[str]]
"""A group, and the splits that it may go to, the best first."""


@full_disk_in_one_line()
def split_dataset(
    dataset: Path, train: Path, validation: Path, test: Path, dealing: Dealing
) -> dict[str, DatasetInfo]:
    """Writes three datasets, each class dealt out alike, no group in two of them.

    With fractions the numbers of each class are exact, as far as its groups of near-duplicates allow; none of the
    three is left without the class where it has three groups.

    By ``hash`` an image's place depends on the seed and its pixels, and little on the other images: the same data
    gives the same split anywhere. An image goes where its hash points while there is room. With fractions the room is
    that of the exact numbers: what is too much for a split goes to the others, those images first whose hashes point
    near its ends. When a class of 100 images grows by a tenth, 2 % of the old ones move, of 1,000 images 0.5 %. With
    counts, as long as a class has more images than are asked for, new ones may take an old one's place, but move
    hardly any to another split. Where groups would leave a split short, the larger ones choose first.

    By ``name`` images are taken in natural order of their paths, as the tutorial does: the first for training, the
    next for validation, the last for test.

    ``given`` keeps the ready-made split of the source; a near-duplicate of a test or validation image is taken out of
    the splits before it. Where there is no validation split, part of the training images become one, by hash.

    Args:
        dataset: The dataset artifact to split.
        train: Folder of the training set, made anew; `validation` and `test` likewise.
        validation: See `train`.
        test: See `train`.
        dealing: How images are dealt out.

    Returns:
        What each of the three holds.

    Raises:
        HeadstartError: If a class is smaller than what is asked of it, or its groups do not fill the counts exactly;
            if fewer than two classes could be evaluated; or if counts by class name other classes than the data.
    """
    start_logging()
    info = read_info(dataset)
    names = ["id", "label", "group", "image.path", "split"]
    table = read_columns(dataset, names)
    columns = (table[name].to_pylist() for name in names)
    images = [_Image(row, *values) for row, values in enumerate(zip(*columns, strict=True))]
    tiny = _tiny_classes(images, len(info.classes))
    left_out = sorted(tiny) if dealing.tiny_classes == LEAVE_OUT else []
    kept = [image for image in images if image.label not in left_out]
    groups = _groups(kept, dealing)
    if dealing.order == "given":
        places = _deal_as_given(groups, info.classes, dealing)
    elif counts := dealing.shares.by_class(info.classes):
        places = _deal_by_count(groups, info.classes, counts, set(left_out), tiny, dealing)
    else:
        places = _deal_by_fraction(groups, tiny, dealing)
    _check_evaluated(kept, places, info.classes, tiny, left_out, dealing)
    folds = _folds(groups, places, dealing)

    # Labels are indices of the classes that stay.
    classes = [name for label, name in enumerate(info.classes) if label not in left_out]
    labels = {label: classes.index(name) for label, name in enumerate(info.classes) if label not in left_out}
    folders = {"train": train, "validation": validation, "test": test}
    with contextlib.ExitStack() as stack:
        writers = {
            split: stack.enter_context(
                DatasetWriter(folder, classes, info.source, info.extra, info.max_side, info.ranges)
            )
            for split, folder in folders.items()
        }
        for number, row in enumerate(tracked(read_rows(dataset), "split", info.images)):
            if number in places:
                row = dataclasses.replace(row, label=labels[row.label], fold=folds.get(number, NO_FOLD))
                writers[places[number]].add(row)
        # The evaluation alone reads these, and sees the test images only.
        write_left_out(test, _left_out(groups, places, "test"))
        if (dataset / HYGIENE).exists():
            shutil.copyfile(dataset / HYGIENE, test / HYGIENE)
        # Publishing asks a model of them.
        if (dataset / ORIGINALS).exists():
            shutil.copyfile(dataset / ORIGINALS, test / ORIGINALS)
    _check_no_leak(folders)
    written = {split: read_info(folder) for split, folder in folders.items()}
    event("split", left_out=len(images) - len(places), **{name: done.images for name, done in written.items()})
    return written


def _tiny_classes(images: list[_Image], classes: int) -> dict[int, str]:
    """Why a class cannot be in each of the three, by its label; those that can are absent."""
    sizes = Counter(image.label for image in images)
    groups: dict[int, set[str]] = defaultdict(set)
    for image in images:
        groups[image.label].add(image.group)
    return {
        label: _why_tiny(sizes[label], len(groups[label]))
        for label in range(classes)
        if len(groups[label]) < len(SPLITS)
    }


def _why_tiny(images: int, groups: int) -> str:
    """A clause with a place for the name of the class."""
    if images > groups == 1:
        return f"all {images} pictures of {{name}} are near-duplicates of one another"
    if images > groups:
        return f"the {images} pictures of {{name}} are {groups} pictures and near-duplicates of them"
    return f"{{name}} has {images} {'picture' if images == 1 else 'pictures'}"


def _groups(images: list[_Image], dealing: Dealing) -> list[_Group]:
    """The images group by group, in the order in which they are dealt out."""
    groups: dict[str, _Group] = defaultdict(list)
    for image in images:
        groups[image.group].append(image)
    if dealing.order == "name":
        return sorted(groups.values(), key=lambda group: natural_key(group[0].path))
    return sorted(groups.values(), key=lambda group: _draw(group, dealing.seed))


def _deal_by_count(
    groups: list[_Group],
    classes: list[str],
    counts: list[list[int]],
    left_out: set[int],
    tiny: Mapping[int, str],
    dealing: Dealing,
) -> _Places:
    asked = [",".join(map(str, each)) for each in counts]
    wanted = {label: each for label, each in enumerate(counts) if label not in left_out}
    images = Counter(image.label for group in groups for image in group)
    for label, each in wanted.items():
        if images[label] < sum(each):
            raise HeadstartError(
                f"class {quoted(classes[label])} has {images[label]} usable images, and counts {asked[label]} ask "
                f"for {sum(each)}; ask for fewer, give counts by class, or use fractions"
            )

    anywhere: list[_Offer] = [(group, SPLITS) for group in groups]
    ways = [anywhere]
    if dealing.order == "hash":
        # Each where its hash points first, so that other images change its place as little as can be. Where single
        # images take the room that groups need, the larger ones come first.
        pointed: list[_Offer] = [
            (group, [_pick(group, dealing.seed, SPLITS, counts[group[0].label])]) for group in groups
        ]
        ways = [
            pointed + anywhere,
            pointed + _largest_first(anywhere),
            [(group, [*splits, *SPLITS]) for group, splits in _largest_first(pointed)],
        ]
    for offers in ways:
        room = {(label, split): n for label, each in wanted.items() for split, n in zip(SPLITS, each, strict=True)}
        places = _fill(room, offers)
        if not any(room.values()):
            return places
    short = min(label for (label, _), left in room.items() if left)
    why = f" ({tiny[short].format(name=classes[short])})" if short in tiny else ""
    raise HeadstartError(
        f"class {quoted(classes[short])} has enough usable images for counts {asked[short]}, but its groups of "
        f"near-duplicates, each of which lies in one split, do not fill them exactly{why}; ask for fewer, "
        "or use fractions"
    )


def _largest_first(offers: list[_Offer]) -> list[_Offer]:
    return sorted(offers, key=lambda offer: len(offer[0]), reverse=True)


def _fill(room: dict[tuple[int, str], int], offers: list[_Offer]) -> _Places:
    """Puts each group where it has its first offer that there is room for, and takes that room away."""
    places: _Places = {}
    for group, splits in offers:
        if group[0].row in places:
            continue
        sizes = Counter(image.label for image in group)
        for split in splits:
            if all(room[label, split] >= size for label, size in sizes.items()):
                for label, size in sizes.items():
                    room[label, split] -= size
                places.update((image.row, split) for image in group)
                break
    return places


def _deal_by_fraction(groups: list[_Group], tiny: Mapping[int, str], dealing: Dealing) -> _Places:
    fractions = dealing.shares.fractions
    nowhere = max(0.0, 1 - sum(fractions))
    names, parts = (*SPLITS, ""), (*fractions, nowhere if nowhere > 1e-9 else 0.0)
    places: _Places = {}
    owners = _owners(groups)
    for label, each in owners.items():
        if label in tiny:
            # What cannot be in all three is where it is of use.
            places.update((image.row, "train") for group in each for image in group)
    others = [group for label, each in owners.items() if label not in tiny for group in each]
    return _apportioned(others, names, parts, dealing, places)


def _owners(groups: list[_Group]) -> dict[int, list[_Group]]:
    """Groups by the class that they are dealt out with: of several classes in a group the one with the fewest groups.

    The classes with the fewest groups come first.
    """
    labels = [sorted({image.label for image in group}) for group in groups]
    number = Counter(label for each in labels for label in each)
    owners: dict[int, list[_Group]] = {
        label: [] for label in sorted(number, key=lambda label: (number[label], label))
    }
    for group, each in zip(groups, labels, strict=True):
        owners[min(each, key=lambda label: (number[label], label))].append(group)
    return owners


def _apportioned(
    groups: list[_Group], names: Sequence[str], parts: Sequence[float], dealing: Dealing, places: _Places
) -> _Places:
    """Deals out class by class, in exact proportions, and adds to the places; an empty name is nowhere."""
    required = sum(map(bool, names))
    # Images of each class that lie somewhere because a near-duplicate of another class does.
    taken: Counter[tuple[int, int]] = Counter()
    for label, each in _owners(groups).items():
        sizes = [sum(image.label == label for image in group) for group in each]
        already = [taken[label, at] for at in range(len(names))]
        if dealing.order == "name":
            dealt = dealt_in_order(sizes, largest_remainder(sum(sizes), parts, required), required)
        else:
            rooms = largest_remainder(sum(sizes) + sum(already), parts, required)
            rooms = [room - full for room, full in zip(rooms, already, strict=True)]
            dealt = dealt_by_hash(sizes, [_draw(group, dealing.seed) for group in each], parts, rooms, required)
        for group, at in zip(each, dealt, strict=True):
            taken.update((image.label, at) for image in group)
            if names[at]:
                places.update((image.row, names[at]) for image in group)
    return places


def _deal_as_given(groups: list[_Group], classes: list[str], dealing: Dealing) -> _Places:
    ready = {image.split for group in groups for image in group} - {""}
    if "train" not in ready:
        found = ", ".join(sorted(ready)) or "no ready-made split"
        raise HeadstartError(f"order 'given' needs train and test folders or a split column; the data has {found}")
    names = ["train", *(split for split in SPLITS if split not in ready)]
    places: _Places = {}
    for_training: dict[int, list[_Group]] = defaultdict(list)
    for group in groups:
        # The split that is used last keeps its images; their like in the ones before would give them away.
        last = max((image.split for image in group if image.split), key=SPLITS.index, default="")
        same = [image for image in group if last and image.split == last]
        if last == "train":
            for_training[same[0].label].append(same)
        else:
            places.update((image.row, last) for image in same)
    counts = dealing.shares.by_class(classes)
    for label, each in for_training.items():
        shares = dict(zip(SPLITS, counts[label] if counts else dealing.shares.fractions, strict=True))
        parts = [shares[name] for name in names]
        if len(each) < len(names):
            # Of what is too little to take from, nothing is taken.
            places.update((image.row, "train") for group in each for image in group)
        else:
            _apportioned(each, names, parts, dealing, places)
    return places


def _left_out(groups: list[_Group], places: _Places, split: str) -> dict[str, str]:
    """The group of each image, by its id, that lies in no split while others of its group lie in this one."""
    return {
        image.id: image.group
        for group in groups
        if any(places.get(image.row) == split for image in group)
        for image in group
        if image.row not in places
    }


def _check_evaluated(
    images: list[_Image],
    places: _Places,
    classes: list[str],
    tiny: Mapping[int, str],
    left_out: Sequence[int],
    dealing: Dealing,
) -> None:
    """Says which classes are not evaluated, or left out, and refuses to split data that leave too few of them.

    Raises:
        HeadstartError: If a class is missing from a split without being tiny or meant to be, or if fewer than two
            classes are in all three.
    """
    found = {(image.label, places.get(image.row)) for image in images}
    sizes = Counter(image.label for image in images)
    missing = {
        label: [split for split in SPLITS if (label, split) not in found]
        for label in range(len(classes))
        if label not in left_out
    }
    complete = [label for label, splits in missing.items() if not splits]
    for label, splits in missing.items():
        if not splits:
            continue
        meant = bool(dealing.shares.class_counts) and dealing.order != "given"
        if (label in tiny or meant) and "train" not in splits and len(complete) > 1:
            continue
        how = "the ready-made split leaves"
        if dealing.order != "given":
            how = f"fractions {','.join(f'{part:g}' for part in dealing.shares.fractions)} leave"
        if meant:
            how = f"counts {','.join(map(str, dealing.shares.class_counts[classes[label]]))} leave"
        why = ""
        if label in tiny and "{name} has" not in tiny[label]:
            why = f": {tiny[label].format(name=classes[label])}, which have to be in one split"
        way_out = "add other images" if dealing.order != "given" else "add images, or let --order hash deal them out"
        few = "" if len(complete) > 1 else "; an evaluation takes two classes that have images in all three"
        raise HeadstartError(
            f"class {quoted(classes[label])} has {sizes[label]} usable images, and {how} none for "
            f"{' and '.join(splits)}{why}{few}; {way_out}"
        )
    for label in left_out:
        event("class_left_out", label=classes[label], why=tiny[label].format(name=classes[label]))
    if left_out and len(complete) < 2:
        names = _listed("class", [classes[label] for label in left_out])
        raise HeadstartError(
            f"tiny_classes {LEAVE_OUT} leaves out {names}, and {len(complete)} of the others can be evaluated, where "
            "it takes two; add images"
        )
    for label, splits in missing.items():
        if splits:
            why = tiny[label].format(name=classes[label]) if label in tiny else "its counts say so"
            event("class_not_evaluated", label=classes[label], missing=" and ".join(splits), why=why)


def _folds(groups: list[_Group], places: _Places, dealing: Dealing) -> dict[int, int]:
    """Fold by row: each class is spread evenly over the folds, group by group in the order of the seed."""
    if not dealing.folds:
        return {}
    sizes: dict[int, list[int]] = defaultdict(lambda: [0] * dealing.folds)
    folds: dict[int, int] = {}
    for group in groups:
        learning = [image for image in group if places.get(image.row) in ("train", "validation")]
        if learning:
            of_class = sizes[learning[0].label]
            fold = of_class.index(min(of_class))
            of_class[fold] += len(learning)
            folds.update((image.row, fold) for image in learning)
    return folds


def _pick(group: _Group, seed: int, names: Sequence[str], parts: Sequence[float]) -> str:
    """One of `names`, by the group's draw, as often as its part of them all says."""
    return _at(_draw(group, seed), names, parts)


def _at(position: float, names: Sequence[str], parts: Sequence[float]) -> str:
    upper = 0.0
    for name, part in zip(names, parts, strict=True):
        upper += part / sum(parts)
        if position < upper:
            return name
    return next(name for name, part in reversed(list(zip(names, parts, strict=True))) if part)


def _draw(group: _Group, seed: int) -> float:
    """A number in [0, 1) that depends on the group and the seed alone, uniform over groups."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group[0].group}".encode()).digest()[:6]) / 2**48


def _check_no_leak(folders: dict[str, Path]) -> None:
    """Reads back what was written: no image and no group may lie in two of the three."""
    for column in ("id", "group"):
        home: dict[str, str] = {}
        for split, folder in folders.items():
            for key in set(read_columns(folder, [column])[column].to_pylist()):
                if home.setdefault(key, split) != split:
                    raise AssertionError(f"{column} {key} lies in {home[key]} and in {split}")
