from pathlib import Path

import numpy as np
import pytest

from headstart.components.core.artifacts.dataset import (
    NO_FOLD,
    SPLITS,
    DatasetWriter,
    ImageRow,
    read_dataset_info,
    read_rows,
)
from headstart.components.core.artifacts.predictions import build_predictions
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import download_dataset
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset

FRACTIONS = SplitSizes([], [0.7, 0.15, 0.15])


def write(folder: Path, per_class: int, group_size: int = 1, splits: tuple[str, ...] = ("",)) -> Path:
    with DatasetWriter(folder, ["cat", "dog"], "here") as writer:
        for label, name in enumerate(("cat", "dog")):
            for number in range(1, per_class + 1):
                group = f"{name}{(number - 1) // group_size}"
                ready = splits[number % len(splits)]
                path = f"{name}.{number}.jpg"
                writer.add(ImageRow(b"x", path, label, f"{name}{number}", group, 8, 8, ready))
    return folder


def write_classes(folder: Path, classes: dict[str, list[int]], splits: dict[str, list[str]] | None = None) -> Path:
    """Writes a dataset of classes by the sizes of their groups, and by the ready-made splits of their images."""
    with DatasetWriter(folder, sorted(classes), "here") as writer:
        for label, name in enumerate(sorted(classes)):
            groups = [f"{name}{group}" for group, size in enumerate(classes[name]) for _ in range(size)]
            ready = (splits or {}).get(name, [""] * len(groups))
            for number, (group, place) in enumerate(zip(groups, ready, strict=True)):
                path = f"{name}.{number}.jpg"
                writer.add(ImageRow(b"x", path, label, f"{name}{number}", group, 8, 8, place))
    return folder


def split(
    data: Path,
    out: Path,
    sizes: SplitSizes,
    order: str = "hash",
    seed: int = 0,
    folds: int = 0,
    tiny_classes: str = "keep",
) -> dict[str, list[ImageRow]]:
    folders = {name: out / name for name in SPLITS}
    split_dataset(data, **folders, settings=SplitSettings(sizes, order, seed, folds, tiny_classes))
    return {name: list(read_rows(folder)) for name, folder in folders.items()}


def names(rows: list[ImageRow]) -> set[str]:
    return {row.path for row in rows}


def test_counts_by_name_are_the_tutorials(tmp_path: Path) -> None:
    parts = split(write(tmp_path / "data", 20), tmp_path, SplitSizes([10, 5, 4], []), "name")
    for name, low, high in (("train", 1, 10), ("validation", 11, 15), ("test", 16, 19)):
        wanted = {f"{kind}.{number}.jpg" for kind in ("cat", "dog") for number in range(low, high + 1)}
        assert names(parts[name]) == wanted


def test_counts_by_content_are_exact_and_repeatable(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 50)
    parts = split(data, tmp_path / "a", SplitSizes([30, 12, 8], []))
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 60, "validation": 24, "test": 16}
    assert not names(parts["train"]) & names(parts["test"])
    assert split(data, tmp_path / "b", SplitSizes([30, 12, 8], [])) == parts
    assert names(split(data, tmp_path / "c", SplitSizes([30, 12, 8], []), seed=1)["test"]) != names(parts["test"])


def moved(before: dict[str, list[ImageRow]], after: dict[str, list[ImageRow]]) -> float:
    """Share of the images of a split that lie in another one afterwards."""
    stayed = sum(len(names(before[name]) & names(after[name])) for name in SPLITS)
    return 1 - stayed / sum(map(len, before.values()))


def test_fractions_are_exact_and_a_tenth_more_images_move_hardly_any_old_one(tmp_path: Path) -> None:
    before = split(write(tmp_path / "a", 1000), tmp_path / "before", FRACTIONS)
    after = split(write(tmp_path / "b", 1100), tmp_path / "after", FRACTIONS)
    assert {name: len(rows) for name, rows in before.items()} == {"train": 1400, "validation": 300, "test": 300}
    assert {name: len(rows) for name, rows in after.items()} == {"train": 1540, "validation": 330, "test": 330}
    # 0.5 % on average; by a shuffle of all it would be 46 %.
    assert moved(before, after) < 0.02


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("order", ["hash", "name"])
def test_small_classes_are_in_every_split(tmp_path: Path, order: str, seed: int) -> None:
    sizes = {f"{number:03}": number for number in (3, 4, 5, 6, 7, 14, 20, 20, 33, 300)}
    data = write_classes(tmp_path / "data", {name: [1] * size for name, size in sizes.items()})
    parts = split(data, tmp_path, FRACTIONS, order, seed)
    wanted = {3: (1, 1, 1), 4: (2, 1, 1), 5: (3, 1, 1), 6: (4, 1, 1), 14: (10, 2, 2), 20: (14, 3, 3), 33: (23, 5, 5)}
    for label, name in enumerate(sorted(sizes)):
        found = tuple(sum(row.label == label for row in parts[split_name]) for split_name in SPLITS)
        assert sum(found) == sizes[name]
        assert found == wanted.get(sizes[name], found)
        for number, fraction in zip(found, FRACTIONS.fractions, strict=True):
            assert abs(number - sizes[name] * fraction) < (2 if sizes[name] < 7 else 1)


@pytest.mark.parametrize("order", ["hash", "name"])
@pytest.mark.parametrize("seed", range(10))
def test_groups_of_any_sizes_leave_no_split_without_a_class(tmp_path: Path, seed: int, order: str) -> None:
    random = np.random.default_rng(seed)
    classes = {
        "three groups": [50, 5, 5],
        "one large": [20, 1, 1, 1],
        "pairs": [2] * 12,
        "any": random.integers(1, 9, 40).tolist(),
        "even": [10, 10, 10],
    }
    parts = split(write_classes(tmp_path / "data", classes), tmp_path, FRACTIONS, order, seed)
    groups = [{row.group for row in rows} for rows in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == sum(map(len, classes.values()))
    for label, name in enumerate(sorted(classes)):
        found = [sum(row.label == label for row in parts[split_name]) for split_name in SPLITS]
        assert all(found), name
        if order == "hash" and name in ("three groups", "any"):
            largest = max(classes[name])
            assert abs(found[0] - 0.7 * sum(classes[name])) <= largest


def test_fractions_that_leave_some_out_are_exact(tmp_path: Path) -> None:
    for order in ("hash", "name"):
        parts = split(write(tmp_path / "data", 40), tmp_path, SplitSizes([], [0.5, 0.2, 0.1]), order)
        assert {name: len(rows) for name, rows in parts.items()} == {"train": 40, "validation": 16, "test": 8}


def test_tiny_class_is_kept_in_training_and_said_to_be_unevaluated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes = {"cat": [1] * 20, "dog": [1] * 20, "emu": [1, 1], "fox": [30], "gnu": [1]}
    data = write_classes(tmp_path / "data", classes)
    parts = split(data, tmp_path, FRACTIONS)
    assert [sum(row.label == label for row in parts["train"]) for label in range(5)] == [14, 14, 2, 30, 1]
    assert {row.label for name in ("validation", "test") for row in parts[name]} == {0, 1}
    assert 'label=emu missing="validation and test" why="emu has 2 images"' in caplog.text
    assert 'why="all 30 images of fox are near-duplicates of one another"' in caplog.text
    assert 'why="gnu has 1 image"' in caplog.text


def test_tiny_class_is_left_out_on_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    classes = {"ape": [1, 1], "cat": [1] * 20, "dog": [1] * 20, "fox": [30]}
    data = write_classes(tmp_path / "data", classes)
    parts = split(data, tmp_path, FRACTIONS, tiny_classes="leave_out")
    for name in SPLITS:
        info = read_dataset_info(tmp_path / name)
        assert info.classes == ["cat", "dog"] and all(info.counts)
        assert {info.classes[row.label] for row in parts[name]} == {"cat", "dog"}
        assert all(row.path.startswith(info.classes[row.label]) for row in parts[name])
    assert 'event=class_left_out label=ape why="ape has 2 images"' in caplog.text
    by_count = split(data, tmp_path, SplitSizes([10, 5, 5], []), tiny_classes="leave_out")
    assert [len(rows) for rows in by_count.values()] == [20, 10, 10]
    few = write_classes(tmp_path / "few", {"ape": [1, 1], "cat": [1] * 20})
    with pytest.raises(
        HeadstartError, match="leaves out class 'ape', and 1 of the others can be evaluated, where an"
    ):
        split(few, tmp_path, FRACTIONS, tiny_classes="leave_out")
    with pytest.raises(HeadstartError, match="unknown tiny_classes 'drop'; known: keep, leave_out"):
        SplitSettings(FRACTIONS, tiny_classes="drop")


def test_class_of_near_duplicates_alone_is_named_as_such(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"cat": [60], "dog": [1] * 60})
    for sizes in (FRACTIONS, SplitSizes([40, 10, 10], [])):
        for order in ("hash", "name"):
            with pytest.raises(HeadstartError, match="all 60 images of cat are near-duplicates of one another"):
                split(data, tmp_path, sizes, order)
    two = write_classes(tmp_path / "two", {"cat": [59, 1], "dog": [1] * 60})
    with pytest.raises(HeadstartError, match="the 60 images of cat are 2 images and near-duplicates of them"):
        split(two, tmp_path, FRACTIONS)


@pytest.mark.parametrize("order", ["hash", "name"])
def test_counts_may_differ_by_class(tmp_path: Path, order: str, caplog: pytest.LogCaptureFixture) -> None:
    data = write_classes(tmp_path / "data", {"cat": [1] * 60, "dog": [1] * 20, "emu": [1] * 6})
    counts = {"dog": [10, 5, 5], "cat": [40, 10, 5], "emu": [5, 0, 0]}
    parts = split(data, tmp_path, SplitSizes([], [], counts), order)
    for label, name in enumerate(("cat", "dog", "emu")):
        assert [sum(row.label == label for row in parts[split_name]) for split_name in SPLITS] == counts[name]
    assert 'label=emu missing="validation and test" why="its counts ask for none there"' in caplog.text


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"cat": [10, 5, 5]}, "counts name no class 'dog'; give three numbers for each class"),
        ({"cat": [1, 1, 1], "dog": [1, 1, 1], "cow": [1, 1, 1]}, "unknown class in counts 'cow'; known: cat, dog"),
        ({"cat": [1, 1, 1], "dog": [30, 1, 1]}, "class 'dog' has 20 usable images, and counts 30,1,1 ask for 32"),
        (
            {"cat": [1, 0, 0], "dog": [1, 1, 1]},
            "counts 1,0,0 leave none for validation and test; an evaluation needs two",
        ),
    ],
)
def test_counts_by_class_that_do_not_fit_the_data_are_refused(
    tmp_path: Path, counts: dict[str, list[int]], message: str
) -> None:
    with pytest.raises(HeadstartError, match=message):
        split(write(tmp_path / "data", 20), tmp_path, SplitSizes([], [], counts))


def test_fractions_by_name_are_exact(tmp_path: Path) -> None:
    parts = split(write(tmp_path / "data", 20), tmp_path, SplitSizes([], [0.5, 0.25, 0.25]), "name")
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 20, "validation": 10, "test": 10}
    assert "cat.10.jpg" in names(parts["train"]) and "cat.11.jpg" in names(parts["validation"])


@pytest.mark.parametrize("order", ["hash", "name"])
@pytest.mark.parametrize("sizes", [FRACTIONS, SplitSizes([60, 20, 20], [])])
def test_group_lies_on_one_side(tmp_path: Path, sizes: SplitSizes, order: str) -> None:
    parts = split(write(tmp_path / "data", 120, group_size=4), tmp_path, sizes, order)
    groups = [{row.group for row in rows} for rows in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_class_too_small_is_named(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 20)
    with pytest.raises(HeadstartError, match=r"class 'cat' has 20 usable images, and counts 10,8,5 ask for 23"):
        split(data, tmp_path, SplitSizes([10, 8, 5], []))
    with pytest.raises(HeadstartError, match=r"class 'cat' has 2 usable images.*leave none for"):
        split(write(tmp_path / "tiny", 2), tmp_path, FRACTIONS)


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_exact_where_single_images_would_take_the_capacity_of_pairs(tmp_path: Path, seed: int) -> None:
    with DatasetWriter(tmp_path / "data", ["cat", "dog"], "here") as writer:
        for number in range(80):
            group = number // 4 if number < 40 else number // 2
            writer.add(ImageRow(b"x", f"{number}.jpg", number % 2, f"id{number}", f"{number % 2} {group}", 8, 8))
    parts = split(tmp_path / "data", tmp_path, SplitSizes([25, 9, 5], []), seed=seed)
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 50, "validation": 18, "test": 10}


def test_counts_that_groups_do_not_fill_are_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 40, group_size=2)
    message = r"class 'cat' has enough usable images for counts 25,9,5, but its groups of near-duplicates"
    for order in ("hash", "name"):
        with pytest.raises(HeadstartError, match=message):
            split(data, tmp_path, SplitSizes([25, 9, 5], []), order)


@pytest.mark.parametrize(
    ("counts", "fractions"),
    [([1, 2], []), ([0, 1, 1], []), ([], []), ([], [0.5, 0.5]), ([], [0.9, 0.1, 0.1]), ([], [1.0, 0.0, 0.0])],
)
def test_sizes_that_make_no_sense_are_refused(counts: list[int], fractions: list[float]) -> None:
    with pytest.raises(HeadstartError, match="give three numbers"):
        SplitSizes(counts, fractions)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(HeadstartError, match="unknown order 'random'; known: hash, name, given"):
        SplitSettings(FRACTIONS, "random")
    with pytest.raises(HeadstartError, match="folds 1: give at least 2"):
        SplitSettings(FRACTIONS, folds=1)


def test_with_counts_and_capacity_to_spare_new_images_move_hardly_any_old_one(tmp_path: Path) -> None:
    sizes = SplitSizes([500, 200, 200], [])
    before = split(write(tmp_path / "a", 1100), tmp_path / "before", sizes)
    after = split(write(tmp_path / "b", 1210), tmp_path / "after", sizes)
    moved = sum(len(names(before[one]) & names(after[other])) for one in SPLITS for other in SPLITS if one != other)
    stayed = sum(len(names(before[name]) & names(after[name])) for name in SPLITS)
    assert moved == 0
    assert stayed > 1500


def test_new_groups_move_hardly_any_old_one(tmp_path: Path) -> None:
    before = split(write(tmp_path / "a", 400, group_size=4), tmp_path / "before", FRACTIONS)
    after = split(write(tmp_path / "b", 440, group_size=4), tmp_path / "after", FRACTIONS)
    assert moved(before, after) < 0.08


def test_place_of_an_image_depends_on_no_other_classes(tmp_path: Path) -> None:
    alone = split(write_classes(tmp_path / "a", {"cat": [1] * 50, "dog": [1] * 50}), tmp_path, FRACTIONS)
    more = split(
        write_classes(tmp_path / "b", {"ape": [1] * 9, "cat": [1] * 50, "dog": [1] * 70}), tmp_path, FRACTIONS
    )
    for name in SPLITS:
        assert {path for path in names(more[name]) if "cat" in path} == {p for p in names(alone[name]) if "cat" in p}


def test_group_of_two_classes_lies_on_one_side(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", ["cat", "dog"], "here") as writer:
        for number in range(200):
            writer.add(ImageRow(b"x", f"{number}.jpg", number % 2, f"id{number}", f"group{number // 2}", 8, 8))
    for order in ("hash", "name"):
        for sizes in (FRACTIONS, SplitSizes([50, 20, 10], [])):
            parts = split(tmp_path / "data", tmp_path / "out", sizes, order)
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
        predictions = build_predictions(tmp_path / "out" / "test", np.full((len(rows), 2), 0.5), frozenset([learned]))
        assert {row.id for row, seen in zip(rows, predictions.seen, strict=True) if seen} == known


def test_split_that_is_missing_is_taken_out_of_training(tmp_path: Path) -> None:
    data = write(tmp_path / "data", 400, splits=("train", "train", "train", "test"))
    parts = split(data, tmp_path / "out", SplitSizes([], [0.6, 0.2, 0.2]), "given")
    assert all(row.split == "test" for row in parts["test"]) and len(parts["test"]) == 200
    assert len(parts["validation"]) == 150
    with pytest.raises(HeadstartError, match="the data has no ready-made split"):
        split(write(tmp_path / "none", 20), tmp_path / "out", FRACTIONS, "given")


def test_validation_split_that_is_missing_has_images_of_every_class(tmp_path: Path) -> None:
    sizes = {"cat": 3, "dog": 8, "emu": 20}
    ready = {name: ["train"] * size + ["test"] * 2 for name, size in sizes.items()}
    data = write_classes(tmp_path / "data", {name: [1] * (size + 2) for name, size in sizes.items()}, ready)
    parts = split(data, tmp_path, FRACTIONS, "given")
    # 0.15 of 0.85 of what is for training.
    assert [sum(row.label == label for row in parts["validation"]) for label in range(3)] == [1, 1, 4]
    assert [sum(row.label == label for row in parts["test"]) for label in range(3)] == [2, 2, 2]


def test_ready_made_split_without_images_of_a_tiny_class_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ready = ["train"] * 3 + ["validation"] * 2 + ["test"] * 2
    classes = {"cat": [1] * 7, "dog": [1] * 7, "emu": [1]}
    data = write_classes(tmp_path / "data", classes, {"cat": ready, "dog": ready, "emu": ["train"]})
    assert [len(rows) for rows in split(data, tmp_path, FRACTIONS, "given").values()] == [7, 4, 4]
    assert "event=class_not_evaluated label=emu" in caplog.text
    data = write_classes(tmp_path / "other", classes, {"cat": ready, "dog": ready, "emu": ["test"]})
    with pytest.raises(
        HeadstartError, match="class 'emu' has 1 usable images, and the ready-made split leaves none for"
    ):
        split(data, tmp_path, FRACTIONS, "given")


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
        assert info.images == read_dataset_info(folder).images
