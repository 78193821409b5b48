from pathlib import Path

import pytest

from headstart.components.core.dataset import DatasetWriter, ImageRow, read_rows
from headstart.components.core.errors import HeadstartError
from headstart.components.split_dataset.step import SPLITS, Shares, split_dataset

FRACTIONS = Shares([], [0.7, 0.15, 0.15])


def write(folder: Path, per_class: int, group_size: int = 1) -> Path:
    with DatasetWriter(folder, ["cat", "dog"], "here") as writer:
        for label, name in enumerate(("cat", "dog")):
            for number in range(1, per_class + 1):
                group = f"{name}{(number - 1) // group_size}"
                writer.add(ImageRow(b"x", f"{name}.{number}.jpg", label, f"{name}{number}", group, 8, 8))
    return folder


def split(data: Path, out: Path, shares: Shares, order: str = "hash", seed: int = 0) -> dict[str, list[ImageRow]]:
    folders = {name: out / name for name in SPLITS}
    split_dataset(data, **folders, shares=shares, order=order, seed=seed)
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


@pytest.mark.parametrize(
    ("counts", "fractions"),
    [([1, 2], []), ([0, 1, 1], []), ([], []), ([], [0.5, 0.5]), ([], [0.9, 0.1, 0.1]), ([], [1.0, 0.0, 0.0])],
)
def test_shares_that_make_no_sense_are_refused(counts: list[int], fractions: list[float]) -> None:
    with pytest.raises(HeadstartError, match="give three numbers"):
        Shares(counts, fractions)


def test_unknown_order_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="unknown order 'random'; known: hash, name"):
        split(write(tmp_path / "data", 20), tmp_path, FRACTIONS, "random")
