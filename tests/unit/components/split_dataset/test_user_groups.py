"""Groups that the user names lie whole in one split, and the splits come as near to their sizes as that allows."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from headstart.components.core.artifacts.dataset import SPLITS, DatasetWriter, ImageRow, hash_user_group, read_rows
from headstart.components.core.artifacts.predictions import build_predictions
from headstart.components.core.util.errors import HeadstartError
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.split_dataset.whole_groups import Parts, assign_whole_groups

FRACTIONS = SplitSizes([], [0.7, 0.15, 0.15])
CLASSES = ["cat", "dog", "emu"]


def write(
    folder: Path,
    sizes: Sequence[Sequence[int]],
    ready: Sequence[str] = ("",),
    names: Sequence[str] = (),
    twins: Sequence[tuple[int, int]] = (),
) -> Path:
    """Writes patients with some images of each class; the images named `twins` are near-duplicates of each other."""
    classes = CLASSES[: len(sizes[0])]
    same = dict(twins)
    with DatasetWriter(folder, classes, "here", grouping="patient") as writer:
        number = 0
        for place, each in enumerate(sizes):
            patient = names[place] if names else f"p{place}"
            for label, images in enumerate(each):
                for _ in range(images):
                    near = f"id{same.get(number, number)}"
                    path, split = f"{number}.jpg", ready[number % len(ready)]
                    group = hash_user_group(patient)
                    writer.add(ImageRow(b"x", path, label, f"id{number}", group, 8, 8, split, -1, (), patient, near))
                    number += 1
    return folder


def split(data: Path, out: Path, sizes: SplitSizes = FRACTIONS, **settings: object) -> dict[str, list[ImageRow]]:
    folders = {name: out / name for name in SPLITS}
    split_dataset(data, **folders, settings=SplitSettings(sizes, **settings))  # type: ignore[arg-type]
    return {name: list(read_rows(folder)) for name, folder in folders.items()}


def patients(parts: dict[str, list[ImageRow]]) -> dict[str, set[str]]:
    return {name: {row.user_group for row in rows} for name, rows in parts.items()}


def check_whole(parts: dict[str, list[ImageRow]]) -> None:
    found = patients(parts)
    assert sum(map(len, found.values())) == len(set.union(*found.values()))


def test_twenty_patients_of_ten_photos_are_never_divided(tmp_path: Path) -> None:
    data = write(tmp_path / "data", [[10, 0] if number % 2 else [0, 10] for number in range(20)])
    parts = split(data, tmp_path)
    check_whole(parts)
    assert {name: len(found) for name, found in patients(parts).items()} == {"train": 14, "validation": 3, "test": 3}
    assert split(data, tmp_path / "again") == parts


@pytest.mark.parametrize("order", ["hash", "name"])
@pytest.mark.parametrize("seed", range(3))
def test_mixed_patients_of_any_size_stay_whole(tmp_path: Path, seed: int, order: str) -> None:
    random = np.random.default_rng(seed)
    sizes = [random.multinomial(size, [0.6, 0.3, 0.1]).tolist() for size in random.integers(1, 30, 40)]
    for wanted in (FRACTIONS, SplitSizes([], [0.5, 0.2, 0.1]), SplitSizes([20, 8, 6], [])):
        parts = split(write(tmp_path / "data", sizes), tmp_path / "out", wanted, seed=seed, order=order)
        check_whole(parts)
        assert all({row.label for row in rows} == {0, 1, 2} for rows in parts.values())


def random_sizes(seed: int) -> NDArray[np.int64]:
    """Groups of log-normal sizes, of one class each or of mixed ones."""
    random = np.random.default_rng(seed)
    groups, classes = int(random.integers(15, 120)), int(random.integers(2, 6))
    of_groups = np.ceil(random.lognormal(1.8, 0.8, groups)).astype(int)
    mixtures = random.dirichlet(np.full(classes, 0.3 if seed % 2 else 0.01), groups)
    sizes = np.array([random.multinomial(size, each) for size, each in zip(of_groups, mixtures, strict=True)])
    return sizes[:, (sizes > 0).sum(axis=0) >= 5]


def deviation(sizes: NDArray[np.int64], assigned: NDArray[np.int64], targets: NDArray[np.float64]) -> float:
    """Mean over the classes of the chi-squared distance of the parts from their targets."""
    numbers = np.zeros(targets.shape)
    np.add.at(numbers, assigned, sizes)
    return float(((numbers - targets) ** 2 / targets / sizes.sum(axis=0)).sum(axis=0).mean())


def test_parts_are_evener_than_those_of_scikit_learn() -> None:
    ours, theirs = [], []
    for seed in range(12):
        sizes = random_sizes(seed)
        targets = np.tile(sizes.sum(axis=0) / 5, (5, 1))
        positions = np.random.default_rng(seed + 100).random(len(sizes))
        ours.append(
            deviation(sizes, assign_whole_groups(sizes, positions.tolist(), Parts(targets, 5), stay=0), targets)
        )
        labels = np.concatenate([np.repeat(np.arange(sizes.shape[1]), each) for each in sizes])
        groups = np.repeat(np.arange(len(sizes)), sizes.sum(axis=1))
        assigned = np.zeros(len(sizes), np.int64)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
        for fold, (_, held_out) in enumerate(folds):
            assigned[np.unique(groups[held_out])] = fold
        theirs.append(deviation(sizes, assigned, targets))
    assert np.mean(ours) < 0.7 * np.mean(theirs)
    assert sum(one <= other + 1e-3 for one, other in zip(ours, theirs, strict=True)) == 12


def test_more_images_of_old_groups_move_few_of_them() -> None:
    moved, shuffled = [], []
    for seed in range(10):
        sizes = random_sizes(seed)
        positions = np.random.default_rng(seed + 100).random(len(sizes)).tolist()
        grown = sizes + np.random.default_rng(seed + 200).poisson(0.1 * sizes)
        parts = np.array([0.7, 0.15, 0.15])[:, None]
        before, after = (
            assign_whole_groups(each, positions, Parts(parts * each.sum(axis=0), 3)) for each in (sizes, grown)
        )
        weights = sizes.sum(axis=1) / sizes.sum()
        moved.append(weights[before != after].sum())
        shares = [weights[before == part].sum() for part in range(3)]
        shuffled.append(1 - sum(share**2 for share in shares))
    assert np.mean(moved) < 0.15 < 0.4 < np.mean(shuffled)


def test_growth_of_all_groups_alike_moves_none(tmp_path: Path) -> None:
    sizes = [[3, 0] if number % 2 else [0, 4] for number in range(40)]
    before = split(write(tmp_path / "a", sizes), tmp_path / "before")
    after = split(write(tmp_path / "b", [[2 * each for each in size] for size in sizes]), tmp_path / "after")
    assert patients(before) == patients(after)


def test_counts_are_met_by_leaving_images_out_and_said_where_groups_do_not_allow_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write(tmp_path / "data", [[7, 7]] * 20)
    parts = split(data, tmp_path, SplitSizes([60, 20, 20], []))
    check_whole(parts)
    counts = {name: Counter(row.label for row in rows) for name, rows in parts.items()}
    assert counts == {"train": {0: 60, 1: 60}, "validation": {0: 20, 1: 20}, "test": {0: 20, 1: 20}}
    assert "whole patients give" not in caplog.text
    assert "event=groups_split unit=patient groups=20 train=9" in caplog.text
    # Near-duplicates of test images in no split are known to whoever has seen them; so are images of their patients.
    rows = parts["test"]
    left_out = {row.id for row in read_rows(data)} - {row.id for each in parts.values() for row in each}
    patient = {row.id: row.user_group for row in read_rows(data)}
    seen = next(image for image in sorted(left_out) if patient[image] in patients(parts)["test"])
    known = build_predictions(tmp_path / "test", np.full((len(rows), 2), 0.5), frozenset([seen])).seen
    assert {row.user_group for row, each in zip(rows, known, strict=True) if each} == {patient[seen]}

    few = write(tmp_path / "few", [[30, 0], [5, 0], [5, 0], [0, 10], [0, 10], [0, 20]])
    caplog.clear()
    split(few, tmp_path / "near", SplitSizes([20, 10, 8], []))
    assert "whole patients give" in caplog.text and "ask for other counts" in caplog.text


def test_one_huge_group_is_named_with_the_way_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write(tmp_path / "data", [[90, 0], [5, 0], [5, 0], *[[0, 5]] * 20])
    parts = split(data, tmp_path)
    check_whole(parts)
    assert "p0" in patients(parts)["train"]
    assert "whole patients give 5 instead of 15 images of 'cat' for" in caplog.text
    assert "the largest of 3 with 'cat' has 90 of 100: add images of other patients, or ask for other" in caplog.text


def test_class_in_one_group_is_kept_in_training_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write(tmp_path / "data", [[0, 0, 12], *[[4, 0, 0]] * 10, *[[0, 4, 0]] * 10])
    parts = split(data, tmp_path)
    assert "p0" in patients(parts)["train"]
    assert 'label=emu missing="validation and test" why="all 12 images of emu are of one patient"' in caplog.text


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    message = "the 40 images of cat are of 2 patients, which have to be in one split.*add images of other patients"
    with pytest.raises(HeadstartError, match=message):
        split(write(tmp_path / "data", [[20, 20], [20, 20]]), tmp_path)
    with pytest.raises(HeadstartError, match="all 20 images of cat are of one patient"):
        split(write(tmp_path / "one", [[20, 20]]), tmp_path, SplitSizes([10, 5, 5], []))


def test_folds_hold_groups_together_and_need_enough_of_them(tmp_path: Path) -> None:
    data = write(tmp_path / "data", [[6, 0] if number % 2 else [0, 6] for number in range(40)])
    parts = split(data, tmp_path, folds=5)
    folds: dict[str, set[int]] = defaultdict(set)
    for row in parts["train"] + parts["validation"]:
        folds[row.user_group].add(row.fold)
    assert all(len(each) == 1 for each in folds.values())
    sizes = Counter((row.fold, row.label) for row in parts["train"] + parts["validation"])
    assert len(sizes) == 10 and max(sizes.values()) - min(sizes.values()) <= 6
    few = write(tmp_path / "few", [[6, 6]] * 5)
    with pytest.raises(HeadstartError, match="folds 5 need as many patients for train and validation, and there are"):
        split(few, tmp_path / "out", folds=5)


def test_ready_made_split_that_tears_groups_is_said_and_refused_where_strict(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ready = ("train", "train", "train", "train", "validation", "test")
    # Image 0, for training, is a near-duplicate of image 5, for the test.
    data = write(tmp_path / "data", [[6, 6]] * 10, ready, twins=[(0, 5)])
    parts = split(data, tmp_path, order="given")
    assert all(row.split == name for name, rows in parts.items() for row in rows)
    assert sum(map(len, parts.values())) == 119 and "id0" not in {row.id for row in parts["train"]}
    assert "the ready-made split tears 10 of 10 patients: 20 test images are of some that other splits" in caplog.text
    with pytest.raises(HeadstartError, match="tears 10 of 10 patients, and strict_groups refuses that; split them"):
        split(data, tmp_path / "strict", order="given", strict_groups=True)


def test_validation_taken_from_a_ready_made_training_set_has_whole_groups(tmp_path: Path) -> None:
    ready = ["train"] * 240 + ["test"] * 60
    data = write(tmp_path / "data", [[3, 3]] * 50, ready)
    parts = split(data, tmp_path, order="given", strict_groups=True)
    check_whole(parts)
    assert {row.split for row in parts["test"]} == {"test"} and len(parts["test"]) == 60
    assert 30 <= len(parts["validation"]) <= 54


def test_model_knows_new_photos_of_a_patient_that_it_was_trained_on(tmp_path: Path) -> None:
    data = write(tmp_path / "data", [[3, 3]] * 3, names=["new", "old", "other"])
    known = build_predictions(data, np.full((18, 2), 0.5), frozenset([hash_user_group("old")])).seen
    assert known.tolist() == [False] * 6 + [True] * 6 + [False] * 6
