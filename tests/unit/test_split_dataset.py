from pathlib import Path

import numpy as np
import pytest

from headstart.components.core.dataset import NO_FOLD, DatasetWriter, ImageRow, read_info, read_rows
from headstart.components.core.errors import HeadstartError
from headstart.components.core.predictions import predictions_of
from headstart.components.download_dataset.step import download_dataset
from headstart.components.split_dataset.step import SPLITS, Dealing, Shares, split_dataset

FRACTIONS = Shares([], [0.7, 0.15, 0.15])


def write(folder: Path, per_class: int, group_size: int = 1, splits: tuple[str, ...] = ("",)) -> Path:
    with DatasetWriter(folder, ["cat", "dog"], "here") as writer:
        for label, name in enumerate(("cat", "dog")):
            for number in range(1, per_class + 1):
                group = f"{name}{(number - 1) // group_size}"
                ready = splits[number % len(splits)]
                path = f"{name}.{number}.jpg"
                writer.add(ImageRow(b"x", path, label, f"{name}{number}", group, 8, 8, ready))
    return folder


def split(
    data: Path, out: Path, shares: Shares, order: str = "hash", seed: int = 0, folds: int = 0
) -> dict[str, list[ImageRow]]:
    folders = {name: out / name for name in SPLITS}
    split_dataset(data, **folders, dealing=Dealing(shares, order, seed, folds))
    return {name: list(read_rows(folder)) for name, folder in folders.items()}


def names(rows: list[ImageRow]) -> set[str]:
    return {row.path for row in rows}


def test_counts_by_name_are_the_tutorials(tmp_path: Path) -> None:
    parts = split(write(tmp_path / "data", 20), tmp_path, Shares([10, 5, 4], []), "name")
    for name, low, high in (("train", 1, 10), ("validation", 11, 15), ("test", 16, 19)):
        wanted = {f"{kind}.{number}.jpg" for kind in ("cat", "dog") for number in range(low, high + 1)}
        assert names(parts[name]) == wanted


def test_counts_by_content_are_exact_and_repeatable(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 50)
    parts = split(data, tmp_path / "a", Shares([30, 12, 8], []))
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 60, "validation": 24, "test": 16}
    assert not names(parts["train"]) & names(parts["test"])
    assert split(data, tmp_path / "b", Shares([30, 12, 8], [])) == parts
    assert names(split(data, tmp_path / "c", Shares([30, 12, 8], []), seed=1)["test"]) != names(parts["test"])


def test_fractions_hold_roughly_and_new_images_move_no_old_one(tmp_path: Path) -> None:
    before = split(write(tmp_path / "a", 1000), tmp_path / "before", FRACTIONS)
    after = split(write(tmp_path / "b", 1100), tmp_path / "after", FRACTIONS)
    for name, fraction in zip(SPLITS, FRACTIONS.fractions, strict=True):
        assert len(before[name]) / 2000 == pytest.approx(fraction, abs=0.03)
        assert names(before[name]) <= names(after[name])
    assert sum(map(len, after.values())) == 2200


def test_fractions_by_name_are_exact(tmp_path: Path) -> None:
    parts = split(write(tmp_path / "data", 20), tmp_path, Shares([], [0.5, 0.25, 0.25]), "name")
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 20, "validation": 10, "test": 10}
    assert "cat.10.jpg" in names(parts["train"]) and "cat.11.jpg" in names(parts["validation"])


@pytest.mark.parametrize("order", ["hash", "name"])
@pytest.mark.parametrize("shares", [FRACTIONS, Shares([60, 20, 20], [])])
def test_group_lies_on_one_side(tmp_path: Path, shares: Shares, order: str) -> None:
    parts = split(write(tmp_path / "data", 120, group_size=4), tmp_path, shares, order)
    groups = [{row.group for row in rows} for rows in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_class_too_small_is_named(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 20)
    with pytest.raises(HeadstartError, match=r"class 'cat' has 20 usable images, and counts 10,8,5 ask for 23"):
        split(data, tmp_path, Shares([10, 8, 5], []))
    with pytest.raises(HeadstartError, match=r"class 'cat' has 2 usable images.*leave none for"):
        split(write(tmp_path / "tiny", 2), tmp_path, FRACTIONS)


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_exact_where_single_images_would_take_the_room_of_pairs(tmp_path: Path, seed: int) -> None:
    with DatasetWriter(tmp_path / "data", ["cat", "dog"], "here") as writer:
        for number in range(80):
            group = number // 4 if number < 40 else number // 2
            writer.add(ImageRow(b"x", f"{number}.jpg", number % 2, f"id{number}", f"{number % 2} {group}", 8, 8))
    parts = split(tmp_path / "data", tmp_path, Shares([25, 9, 5], []), seed=seed)
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 50, "validation": 18, "test": 10}


def test_counts_that_groups_do_not_fill_are_told_so(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 40, group_size=2)
    message = r"class 'cat' has enough usable images for counts 25,9,5, but its groups of near-duplicates"
    for order in ("hash", "name"):
        with pytest.raises(HeadstartError, match=message):
            split(data, tmp_path, Shares([25, 9, 5], []), order)


@pytest.mark.parametrize(
    ("counts", "fractions"),
    [([1, 2], []), ([0, 1, 1], []), ([], []), ([], [0.5, 0.5]), ([], [0.9, 0.1, 0.1]), ([], [1.0, 0.0, 0.0])],
)
def test_shares_that_make_no_sense_are_refused(counts: list[int], fractions: list[float]) -> None:
    with pytest.raises(HeadstartError, match="give three numbers"):
        Shares(counts, fractions)


def test_dealing_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(HeadstartError, match="unknown order 'random'; known: hash, name, given"):
        Dealing(FRACTIONS, "random")
    with pytest.raises(HeadstartError, match="folds 1: give at least 2"):
        Dealing(FRACTIONS, folds=1)


def test_with_counts_and_room_to_spare_new_images_move_hardly_any_old_one(tmp_path: Path) -> None:
    shares = Shares([500, 200, 200], [])
    before = split(write(tmp_path / "a", 1100), tmp_path / "before", shares)
    after = split(write(tmp_path / "b", 1210), tmp_path / "after", shares)
    moved = sum(len(names(before[one]) & names(after[other])) for one in SPLITS for other in SPLITS if one != other)
    stayed = sum(len(names(before[name]) & names(after[name])) for name in SPLITS)
    assert moved == 0
    assert stayed > 1500


def test_new_groups_move_no_old_one(tmp_path: Path) -> None:
    before = split(write(tmp_path / "a", 400, group_size=4), tmp_path / "before", FRACTIONS)
    after = split(write(tmp_path / "b", 440, group_size=4), tmp_path / "after", FRACTIONS)
    assert all(names(before[name]) <= names(after[name]) for name in SPLITS)


def test_group_of_two_classes_lies_on_one_side(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", ["cat", "dog"], "here") as writer:
        for number in range(200):
            writer.add(ImageRow(b"x", f"{number}.jpg", number % 2, f"id{number}", f"group{number // 2}", 8, 8))
    for order in ("hash", "name"):
        for shares in (FRACTIONS, Shares([50, 20, 10], [])):
            parts = split(tmp_path / "data", tmp_path / "out", shares, order)
            groups = [{row.group for row in rows} for rows in parts.values()]
            assert sum(map(len, groups)) == len(set.union(*groups))


def test_ready_made_split_is_kept_and_its_leaks_are_cut(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 60, splits=("train", "train", "validation", "test"))
    parts = split(data, tmp_path / "out", FRACTIONS, "given")
    assert all(row.split == name for name, rows in parts.items() for row in rows)
    assert sum(map(len, parts.values())) == 120

    leaking = write(tmp_path / "leaking", 60, group_size=4, splits=("train", "train", "validation", "test"))
    with pytest.raises(HeadstartError, match="the ready-made split leaves none for train and validation"):
        split(leaking, tmp_path / "cut", FRACTIONS, "given")


def test_near_duplicate_of_a_test_image_leaves_the_ready_made_training_set(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", ["cat", "dog"], "here") as writer:
        for number in range(60):
            ready = ("train", "train", "validation", "test")[number // 2 % 4]
            group = "leak" if number in (0, 6) else f"group{number}"
            writer.add(ImageRow(b"x", f"{number}.jpg", number % 2, f"id{number}", group, 8, 8, ready))
    parts = split(tmp_path / "data", tmp_path / "out", FRACTIONS, "given")
    assert "6.jpg" in names(parts["test"])
    assert "0.jpg" not in set.union(*map(names, parts.values()))
    assert sum(map(len, parts.values())) == 59
    # A model that learned from the one that is left out knows the other.
    rows = parts["test"]
    for learned, known in (("id0", {"id6"}), ("id2", set())):
        told = predictions_of(tmp_path / "out" / "test", np.full((len(rows), 2), 0.5), frozenset([learned]))
        assert {row.id for row, seen in zip(rows, told.seen, strict=True) if seen} == known


def test_split_that_is_missing_is_taken_out_of_training(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 400, splits=("train", "train", "train", "test"))
    parts = split(data, tmp_path / "out", Shares([], [0.6, 0.2, 0.2]), "given")
    assert all(row.split == "test" for row in parts["test"]) and len(parts["test"]) == 200
    assert len(parts["validation"]) == pytest.approx(150, abs=40)
    with pytest.raises(HeadstartError, match="the data has no ready-made split"):
        split(write(tmp_path / "none", 20), tmp_path / "out", FRACTIONS, "given")


def test_folds_are_even_and_hold_groups_together(tmp_path: Path) -> None:
    parts = split(write(tmp_path / "data", 300, group_size=3), tmp_path / "out", FRACTIONS, folds=5)
    learning = parts["train"] + parts["validation"]
    assert {row.fold for row in parts["test"]} == {NO_FOLD}
    for label in (0, 1):
        sizes = [sum(row.fold == fold and row.label == label for row in learning) for fold in range(5)]
        assert max(sizes) - min(sizes) <= 3
    fold_of = {row.group: row.fold for row in learning}
    assert all(fold_of[row.group] == row.fold for row in learning)


def test_every_part_of_a_split_can_be_read_as_data(splits: dict[str, Path], tmp_path: Path) -> None:
    for name, folder in splits.items():
        info = download_dataset([str(folder)], tmp_path / name, tmp_path / "page.html")
        assert info.images == read_info(folder).images
