"""Deals a dataset out into train, validation and test, as a function of its content."""

import contextlib
import dataclasses
import hashlib
from collections import defaultdict
from pathlib import Path

from headstart.components.core.dataset import DatasetInfo, DatasetWriter, read_columns, read_info, read_rows
from headstart.components.core.errors import HeadstartError, unknown_name
from headstart.components.core.logs import event, start_logging, tracked
from headstart.components.core.natural import natural_key

SPLITS = ("train", "validation", "test")
ORDERS = ("hash", "name")


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
class _Image:
    row: int
    label: int
    group: str
    path: str


def check_order(order: str) -> None:
    """Refuses an order that is not one of `ORDERS`.

    Raises:
        HeadstartError: The order is unknown.
    """
    if order not in ORDERS:
        unknown_name("order", order, list(ORDERS))


def split_dataset(
    dataset: Path, train: Path, validation: Path, test: Path, shares: Shares, order: str, seed: int
) -> dict[str, DatasetInfo]:
    """Writes three datasets, each class dealt out alike, no group in two of them.

    With `order` ``hash`` an image's place depends on `seed` and its pixels alone: the same data gives the same
    split anywhere, and with `fractions` adding images moves none of those that were there. With ``name`` images
    are taken in natural order of their paths, as the tutorial does: the first for training, the next for
    validation, the last for test.

    Args:
        dataset: The dataset artifact to split.
        train: Folder of the training set, made anew; `validation` and `test` likewise.
        validation: See `train`.
        test: See `train`.
        shares: How much goes where.
        order: ``hash`` or ``name``.
        seed: Another seed gives another split (``hash`` only).

    Returns:
        What each of the three holds.

    Raises:
        HeadstartError: A class is smaller than what is asked of it, or would be missing from a split.
    """
    start_logging()
    check_order(order)
    info = read_info(dataset)
    table = read_columns(dataset, ["label", "group", "image.path"])
    images = [
        _Image(row, label, group, path)
        for row, (label, group, path) in enumerate(
            zip(*(table[name].to_pylist() for name in ("label", "group", "image.path")), strict=True)
        )
    ]
    places: dict[int, str] = {}
    for label, name in enumerate(info.classes):
        of_class = [image for image in images if image.label == label]
        places.update(
            _deal_by_count(of_class, name, shares.counts, order, seed)
            if shares.counts
            else _deal_by_fraction(of_class, name, shares.fractions, order, seed)
        )
    _check_no_leak(images, places)

    folders = {"train": train, "validation": validation, "test": test}
    with contextlib.ExitStack() as stack:
        writers = {
            split: stack.enter_context(DatasetWriter(folder, info.classes, info.source))
            for split, folder in folders.items()
        }
        for number, row in enumerate(tracked(read_rows(dataset), "split", info.images)):
            if number in places:
                writers[places[number]].add(row)
    written = {split: read_info(folder) for split, folder in folders.items()}
    event("split", left_out=len(images) - len(places), **{name: done.images for name, done in written.items()})
    return written


def _groups(images: list[_Image], order: str, seed: int) -> list[list[_Image]]:
    """The images of one class, group by group, in the order in which they are dealt out."""
    groups: dict[str, list[_Image]] = defaultdict(list)
    for image in images:
        groups[image.group].append(image)
    if order == "name":
        return sorted(groups.values(), key=lambda members: natural_key(members[0].path))
    return sorted(groups.values(), key=lambda members: _draw(members[0].group, seed))


def _deal_by_count(images: list[_Image], name: str, counts: list[int], order: str, seed: int) -> dict[int, str]:
    places: dict[int, str] = {}
    room = dict(zip(SPLITS, counts, strict=True))
    for members in _groups(images, order, seed):
        split = next((split for split in SPLITS if room[split] >= len(members)), None)
        if split is not None:
            room[split] -= len(members)
            places.update((image.row, split) for image in members)
    if any(room.values()):
        raise HeadstartError(
            f"class {name!r} has {len(images)} usable images, and counts {','.join(map(str, counts))} ask for "
            f"{sum(counts)}; ask for fewer, or use fractions"
        )
    return places


def _deal_by_fraction(
    images: list[_Image], name: str, fractions: list[float], order: str, seed: int
) -> dict[int, str]:
    groups = _groups(images, order, seed)
    places: dict[int, str] = {}
    for rank, members in enumerate(groups):
        # By content, a group's place is its own draw and nobody else's: this is what new images cannot move.
        position = rank / len(groups) if order == "name" else _draw(members[0].group, seed)
        upper = 0.0
        for split, fraction in zip(SPLITS, fractions, strict=True):
            upper += fraction
            if position < upper - 1e-12 or (split == SPLITS[-1] and upper > 1 - 1e-9):
                places.update((image.row, split) for image in members)
                break
    missing = set(SPLITS) - set(places.values())
    if missing:
        raise HeadstartError(
            f"class {name!r} has {len(images)} usable images, and fractions "
            f"{','.join(f'{part:g}' for part in fractions)} leave none for {' and '.join(sorted(missing))}; "
            "add images, or give counts"
        )
    return places


def _draw(group: str, seed: int) -> float:
    """A number in [0, 1) that depends on the group and the seed alone, uniform over groups."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:6]) / 2**48


def _check_no_leak(images: list[_Image], places: dict[int, str]) -> None:
    home: dict[str, str] = {}
    for image in images:
        split = places.get(image.row)
        if split is not None and home.setdefault(image.group, split) != split:
            raise AssertionError(f"group {image.group} lies in {home[image.group]} and in {split}")
