"""Deals a dataset out into train, validation and test, as a function of its content."""

import contextlib
import dataclasses
import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from headstart.components.core.dataset import (
    NO_FOLD,
    SPLITS,
    DatasetInfo,
    DatasetWriter,
    read_columns,
    read_info,
    read_rows,
)
from headstart.components.core.errors import HeadstartError, unknown_name
from headstart.components.core.files import full_disk_in_one_line
from headstart.components.core.hygiene import HYGIENE
from headstart.components.core.left_out import write_left_out
from headstart.components.core.logs import event, start_logging, tracked
from headstart.components.core.natural import natural_key
from headstart.components.core.originals import ORIGINALS

ORDERS = ("hash", "name", "given")


@dataclasses.dataclass(frozen=True)
class Shares:
    """How much goes into train, validation and test.

    Attributes:
        counts: Images per class in each of the three; empty: go by `fractions`.
        fractions: Parts of each class; what is missing to 1 is left out.
    """

    counts: list[int]
    fractions: list[float]

    def __post_init__(self) -> None:
        if self.counts:
            if len(self.counts) != len(SPLITS) or min(self.counts) < 1:
                raise HeadstartError(
                    f"counts {self.counts}: give three numbers of at least 1, images per class for train, "
                    "validation and test, such as 1000,500,500"
                )
        elif len(self.fractions) != len(SPLITS) or min(self.fractions) <= 0 or sum(self.fractions) > 1 + 1e-9:
            raise HeadstartError(
                f"fractions {self.fractions}: give three numbers above 0 that add up to at most 1, for train, "
                "validation and test, such as 0.7,0.15,0.15"
            )


@dataclasses.dataclass(frozen=True)
class Dealing:
    """How images are dealt out.

    Attributes:
        shares: How much goes where.
        order: ``hash``, ``name`` or ``given``: see `split_dataset`.
        seed: Another seed gives another split, by hash, and other folds.
        folds: Cross-validation folds over train and validation together; 0: none.
    """

    shares: Shares
    order: str = "hash"
    seed: int = 0
    folds: int = 0

    def __post_init__(self) -> None:
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

    By ``hash`` an image's place depends on the seed and its pixels alone: the same data gives the same split
    anywhere. With fractions, adding images moves none of those that were there, near-duplicates of new ones aside.
    With counts, an image goes where its hash points while there is room: as long as a class has more images than are
    asked for, new ones may take an old one's place, but move hardly any to another split. Where groups would leave a
    split short, the larger ones choose first.

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
        HeadstartError: A class is smaller than what is asked of it, or would be missing from a split; or its groups
            do not fill the counts exactly.
    """
    start_logging()
    info = read_info(dataset)
    names = ["id", "label", "group", "image.path", "split"]
    table = read_columns(dataset, names)
    columns = (table[name].to_pylist() for name in names)
    images = [_Image(row, *values) for row, values in enumerate(zip(*columns, strict=True))]
    groups = _groups(images, dealing)
    if dealing.order == "given":
        places = _deal_as_given(groups, dealing)
    elif dealing.shares.counts:
        places = _deal_by_count(groups, info.classes, dealing)
    else:
        places = _deal_by_fraction(groups, dealing)
    _check_every_class_is_everywhere(images, places, info.classes, dealing)
    folds = _folds(groups, places, dealing)

    folders = {"train": train, "validation": validation, "test": test}
    with contextlib.ExitStack() as stack:
        writers = {
            split: stack.enter_context(
                DatasetWriter(folder, info.classes, info.source, info.extra, info.max_side, info.ranges)
            )
            for split, folder in folders.items()
        }
        for number, row in enumerate(tracked(read_rows(dataset), "split", info.images)):
            if number in places:
                writers[places[number]].add(dataclasses.replace(row, fold=folds.get(number, NO_FOLD)))
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


def _groups(images: list[_Image], dealing: Dealing) -> list[_Group]:
    """The images group by group, in the order in which they are dealt out."""
    groups: dict[str, _Group] = defaultdict(list)
    for image in images:
        groups[image.group].append(image)
    if dealing.order == "name":
        return sorted(groups.values(), key=lambda group: natural_key(group[0].path))
    return sorted(groups.values(), key=lambda group: _draw(group, dealing.seed))


def _deal_by_count(groups: list[_Group], classes: list[str], dealing: Dealing) -> _Places:
    counts = dealing.shares.counts
    asked = ",".join(map(str, counts))
    images = Counter(image.label for group in groups for image in group)
    for label, name in enumerate(classes):
        if images[label] < sum(counts):
            raise HeadstartError(
                f"class {name!r} has {images[label]} usable images, and counts {asked} ask for {sum(counts)}; ask "
                "for fewer, or use fractions"
            )

    anywhere: list[_Offer] = [(group, SPLITS) for group in groups]
    ways = [anywhere]
    if dealing.order == "hash":
        # Each where its hash points first, so that other images change its place as little as can be. Where single
        # images take the room that groups need, the larger ones come first.
        pointed: list[_Offer] = [(group, [_pick(group, dealing.seed, SPLITS, counts)]) for group in groups]
        ways = [
            pointed + anywhere,
            pointed + _largest_first(anywhere),
            [(group, [*splits, *SPLITS]) for group, splits in _largest_first(pointed)],
        ]
    for offers in ways:
        room = {(label, split): n for label in range(len(classes)) for split, n in zip(SPLITS, counts, strict=True)}
        places = _fill(room, offers)
        if not any(room.values()):
            return places
    short = min(label for (label, _), left in room.items() if left)
    raise HeadstartError(
        f"class {classes[short]!r} has enough usable images for counts {asked}, but its groups of near-duplicates, "
        "each of which lies in one split, do not fill them exactly; ask for fewer, or use fractions"
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


def _deal_by_fraction(groups: list[_Group], dealing: Dealing) -> _Places:
    fractions = dealing.shares.fractions
    nowhere = max(0.0, 1 - sum(fractions))
    names, parts = (*SPLITS, ""), (*fractions, nowhere if nowhere > 1e-9 else 0.0)
    of_class = Counter(group[0].label for group in groups)
    rank: Counter[int] = Counter()
    places: _Places = {}
    for group in groups:
        label = group[0].label
        if dealing.order == "name":
            split = _at((rank[label] + 1e-9) / of_class[label], names, parts)
            rank[label] += 1
        else:
            # By content, a group's place is its own draw and nobody else's: this is what new images cannot move.
            split = _pick(group, dealing.seed, names, parts)
        if split:
            places.update((image.row, split) for image in group)
    return places


def _deal_as_given(groups: list[_Group], dealing: Dealing) -> _Places:
    ready = {image.split for group in groups for image in group} - {""}
    if "train" not in ready:
        found = ", ".join(sorted(ready)) or "no ready-made split"
        raise HeadstartError(f"order 'given' needs train and test folders or a split column; the data has {found}")
    names = ["train", *(split for split in SPLITS if split not in ready)]
    shares = dict(zip(SPLITS, dealing.shares.counts or dealing.shares.fractions, strict=True))
    places: _Places = {}
    for group in groups:
        # The split that is used last keeps its images; their like in the ones before would give them away.
        last = max((image.split for image in group if image.split), key=SPLITS.index, default="")
        split = _pick(group, dealing.seed, names, [shares[name] for name in names]) if last == "train" else last
        places.update((image.row, split) for image in group if last and image.split == last)
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


def _check_every_class_is_everywhere(
    images: list[_Image], places: _Places, classes: list[str], dealing: Dealing
) -> None:
    found = {(image.label, places.get(image.row)) for image in images}
    sizes = Counter(image.label for image in images)
    for label, name in enumerate(classes):
        missing = [split for split in SPLITS if (label, split) not in found]
        if missing:
            how = "the ready-made split leaves"
            if dealing.order != "given":
                how = f"fractions {','.join(f'{part:g}' for part in dealing.shares.fractions)} leave"
            raise HeadstartError(
                f"class {name!r} has {sizes[label]} usable images, and {how} none for {' and '.join(missing)}; "
                "add images, or give counts"
            )


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
