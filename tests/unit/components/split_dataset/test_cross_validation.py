"""Folds of all images: whole groups, every class in each, and validation images that are of no group of the fold."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from headstart.components.core.artifacts.cross_validation import find_fold_rows, read_fold_parts
from headstart.components.core.artifacts.dataset import (
    SPLITS,
    DatasetWriter,
    ImageRow,
    hash_user_group,
    read_columns,
    read_dataset_info,
    read_rows,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, list_fold_tasks, split_dataset

FRACTIONS = SplitSizes([], [0.7, 0.15, 0.15])
CLASSES = ["cat", "dog", "emu"]


def write(folder: Path, groups: Sequence[Sequence[int]], unit: str = "") -> Path:
    """Writes groups with some images of each class: near-duplicates, or what a unit of the user's is."""
    classes = CLASSES[: len(groups[0])]
    with DatasetWriter(folder, classes, "here", grouping=unit) as writer:
        number = 0
        for place, sizes in enumerate(groups):
            for label, images in enumerate(sizes):
                for _ in range(images):
                    name = f"g{place}"
                    own = (name, f"id{number}") if unit else ()
                    group = hash_user_group(name) if unit else name
                    row = ImageRow(b"x", f"{number}.jpg", label, f"id{number}", group, 8, 8, "", -1, (), *own)
                    writer.add(row)
                    number += 1
    return folder


def singles(per_class: int, classes: int = 2) -> list[list[int]]:
    return [[int(label == at % classes) for label in range(classes)] for at in range(per_class * classes)]


def fold(data: Path, out: Path, folds: str, sizes: SplitSizes = FRACTIONS, **settings: object) -> Path:
    """The training set, divided."""
    folders = {name: out / name for name in SPLITS}
    split_dataset(data, **folders, settings=SplitSettings(sizes, cross_validation=folds, **settings))  # type: ignore[arg-type]
    return folders["train"]


@pytest.mark.parametrize("unit", ["", "patient"])
@pytest.mark.parametrize("seed", range(3))
def test_no_group_of_a_fold_is_trained_on_or_chooses_anything(tmp_path: Path, seed: int, unit: str) -> None:
    random = np.random.default_rng(seed)
    groups = [random.multinomial(size, [0.6, 0.3, 0.1]).tolist() for size in random.integers(1, 9, 60)]
    train = fold(write(tmp_path / "data", groups, unit), tmp_path / "out", "5", seed=seed)
    parts = read_fold_parts(train)
    assert parts is not None and parts.folds == 5
    columns = read_columns(train, ["id", "group", "label"])
    groups_of, labels = np.array(columns["group"].to_pylist()), columns["label"].to_numpy()
    predicted: Counter[str] = Counter()
    for number in range(5):
        rows = find_fold_rows(train, parts, number)
        sides = [set(groups_of[each]) for each in (rows.train, rows.validation, rows.held_out)]
        assert sum(map(len, sides)) == len(set.union(*sides)), "a group on two sides"
        assert set(labels[rows.train]) == {0, 1, 2} and len(rows.validation)
        assert len(rows.train) + len(rows.validation) + len(rows.held_out) == len(labels)
        predicted.update(columns["id"].take(rows.held_out).to_pylist())
    assert set(predicted.values()) == {1} and len(predicted) == len(labels), "every image is predicted once"


def test_folds_and_their_validation_images_are_even(tmp_path: Path) -> None:
    train = fold(write(tmp_path / "data", singles(100)), tmp_path / "out", "5")
    parts = read_fold_parts(train)
    assert parts is not None
    labels = read_columns(train, ["label"])["label"].to_numpy()
    for number in range(5):
        rows = find_fold_rows(train, parts, number)
        assert Counter(labels[rows.held_out].tolist()) == {0: 20, 1: 20}
        # Of the 80 others of each class, 15 parts of 85.
        assert Counter(labels[rows.validation].tolist()) == {0: 14, 1: 14}
    assert len({image for each in parts.validation for image in each}) > 100, "not the same ones in all folds"
    assert read_fold_parts(fold(tmp_path / "data", tmp_path / "again", "5")) == parts


def test_all_images_are_trained_on_and_evaluated(tmp_path: Path) -> None:
    data = write(tmp_path / "data", singles(10))
    train = fold(data, tmp_path / "out", "2")
    everything = {row.id for row in read_rows(data)}
    for name, expected in (("train", everything), ("validation", set()), ("test", everything)):
        assert {row.id for row in read_rows(train.parent / name)} == expected
    assert read_columns(train.parent / "validation", ["id", "image.path"]).num_rows == 0
    assert list_fold_tasks(train) == ["0", "1"]
    assert list_fold_tasks(train, at_once=0) == ["0,1"]


@pytest.mark.parametrize(
    ("sizes", "folds"),
    [([666, 667], 5), ([667, 667], 0), ([1400, 1400, 133], 5), ([1400, 1400, 134], 0), ([9, 4], 4), ([20, 20, 2], 0)],
)
def test_auto_cross_validates_where_the_test_set_would_be_small(tmp_path: Path, sizes: list[int], folds: int) -> None:
    """15 % of 1,334 images are 200, and of 134 images 20; a class of two images would need two folds."""
    groups = [[int(label == at) for at in range(len(sizes))] for label, size in enumerate(sizes) for _ in range(size)]
    train = fold(write(tmp_path / "data", groups), tmp_path / "out", "auto")
    parts = read_fold_parts(train)
    assert (parts.folds if parts else 0) == folds
    if not folds:
        assert list_fold_tasks(train) == [""]
        assert read_dataset_info(train).images < len(groups)


def test_a_tiny_class_that_is_left_out_is_in_no_fold(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    data = write(tmp_path / "data", [*[[1, 0, 0], [0, 1, 0]] * 10, [0, 0, 1], [0, 0, 1]])
    train = fold(data, tmp_path / "out", "5", tiny_classes="leave_out")
    assert read_dataset_info(train).counts == [10, 10]
    assert "event=class_left_out label=emu" in logged.text


@pytest.mark.parametrize(
    ("dogs", "unit", "folds", "message"),
    [
        ([1] * 4, "", "5", "'dog' has 4 images, and each fold needs an image of it; ask for at most 4 folds, or add"),
        ([5] * 4, "", "5", "'dog' has 20 images of 4 groups of near-duplicates, and each fold needs a group of near"),
        ([5] * 3, "patient", "5", "'dog' has 15 images of 3 patients, and each fold needs a patient of it; ask for"),
        ([1] * 2, "", "3", "'dog' has 2 images.*add images, or leave the class out with --tiny-classes leave_out"),
    ],
)
def test_folds_that_a_class_cannot_fill_are_refused(
    tmp_path: Path, dogs: list[int], unit: str, folds: str, message: str
) -> None:
    data = write(tmp_path / "data", [[2, 0]] * 9 + [[0, images] for images in dogs], unit)
    with pytest.raises(HeadstartError, match=message):
        fold(data, tmp_path / "out", folds)


@pytest.mark.parametrize(
    ("folds", "sizes", "order", "message"),
    [
        ("1", FRACTIONS, "hash", "folds '1': give a whole number of at least 2, 'auto', or 0 for none"),
        ("many", FRACTIONS, "hash", "folds 'many': give a whole number"),
        ("-3", FRACTIONS, "hash", "folds '-3': give a whole number"),
        ("5", SplitSizes([10, 2, 2], []), "hash", "folds 5 and counts exclude one another"),
        ("auto", SplitSizes([], [], {"cat": [3, 1, 1]}), "hash", "folds auto and counts exclude one another"),
        ("5", FRACTIONS, "given", "folds 5 and order 'given' exclude one another"),
        ("5", SplitSizes([], [0.3, 0.1, 0.1]), "hash", "folds 5 use all images"),
    ],
)
def test_settings_that_make_no_sense_with_folds_are_refused(
    folds: str, sizes: SplitSizes, order: str, message: str
) -> None:
    with pytest.raises(HeadstartError, match=message):
        SplitSettings(sizes, order, cross_validation=folds)
