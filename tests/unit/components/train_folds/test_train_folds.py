"""Folds are trained without their images, of which not even the labels matter."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from headstart.components.combine_folds.step import combine_folds
from headstart.components.core.artifacts.cross_validation import (
    CROSS_VALIDATION,
    FOLDS,
    find_fold_rows,
    read_fold_parts,
    read_fold_results,
    read_out_of_fold,
)
from headstart.components.core.artifacts.dataset import (
    DatasetWriter,
    read_columns,
    read_dataset_info,
    read_rows,
)
from headstart.components.core.artifacts.history import read_history
from headstart.components.core.artifacts.model import ModelInfo, read_model_info, read_seen
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.train_folds.step import train_by_method, train_folds

RECIPE = load_recipe(
    settings={
        "backbone": "sketchnet",
        "deterministic": True,
        "head.epochs": 3,
        "fine_tuning.epochs": 2,
        **{f"{phase}.augmented_views": 2 for phase in ("head", "fine_tuning")},
    }
)
FOLD_SETTINGS = SplitSettings(SplitSizes([], [0.7, 0.15, 0.15]), cross_validation="2")


@pytest.fixture(scope="module")
def folded(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All images, divided into two folds."""
    root = tmp_path_factory.mktemp("folded")
    folders = {name: root / name for name in ("train", "validation", "test")}
    split_dataset(dataset, **folders, settings=FOLD_SETTINGS)
    return folders["train"]


def inputs_of(train: Path) -> TrainingInputs:
    return TrainingInputs(train, train.parent / "validation", RECIPE, seed=0)


@pytest.fixture(scope="module")
def results(folded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the folds measured, fine-tuning included."""
    root = tmp_path_factory.mktemp("results")
    train_folds(inputs_of(folded), [1], "fine_tuned", root / "second")
    train_folds(inputs_of(folded), [0], "fine_tuned", root / "first")
    combine_folds(folded, [root / "second", root / "first"], root / "all")
    return root / "all"


@pytest.fixture(scope="module")
def final(folded: Path, results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that is trained on all images with what the folds chose."""
    model = tmp_path_factory.mktemp("final") / "model"
    train_by_method(dataclasses.replace(inputs_of(folded), fold_results=results), model, "fine_tuned")
    return model


def relabel(train: Path, folder: Path, fold: int) -> Path:
    """A copy of the dataset in which the images of a fold have the other class."""
    info, parts = read_dataset_info(train), read_fold_parts(train)
    assert parts is not None
    own = set(find_fold_rows(train, parts, fold).held_out.tolist())
    with DatasetWriter(folder, info.classes, info.source, info.extra, info.max_side, info.ranges) as writer:
        for number, row in enumerate(read_rows(train)):
            writer.add(dataclasses.replace(row, label=1 - row.label) if number in own else row)
    (folder / FOLDS).write_bytes((train / FOLDS).read_bytes())
    return folder


@pytest.mark.slow
def test_labels_of_a_fold_change_nothing_in_its_training(folded: Path, results: Path, tmp_path: Path) -> None:
    changed = relabel(folded, tmp_path / "changed", fold=0)
    train_folds(inputs_of(changed), [0], "fine_tuned", tmp_path / "again")
    (again,) = read_fold_results(tmp_path / "again")
    first = read_fold_results(results)[0]
    assert again.phases == first.phases, "epochs, share and temperature"
    for phase in ("head", "fine_tuning"):
        before = read_out_of_fold(results / f"{phase}.parquet", ["cat", "dog"])
        after = read_out_of_fold(tmp_path / "again" / f"{phase}.parquet", ["cat", "dog"])
        rows = np.flatnonzero(before.folds == 0)
        by_id = dict(zip(after.ids, after.probabilities, strict=True))
        assert np.array_equal(before.probabilities[rows], [by_id[before.ids[row]] for row in rows])


@pytest.mark.slow
def test_every_image_is_predicted_once_in_the_order_of_the_dataset(folded: Path, results: Path) -> None:
    found = read_out_of_fold(results / "fine_tuning.parquet", ["cat", "dog"])
    columns = read_columns(folded, ["id", "fold", "label"])
    assert found.ids == columns["id"].to_pylist()
    assert found.folds.tolist() == columns["fold"].to_pylist()
    assert (found.probabilities.argmax(axis=1) == columns["label"].to_numpy()).mean() > 0.7
    both = read_fold_results(results)
    assert [each.fold for each in both] == [0, 1]
    assert sum(each.images for each in both) == len(found.ids)
    assert all(each.train_images + each.validation_images + each.images == len(found.ids) for each in both)


@pytest.mark.slow
def test_the_final_model_is_trained_on_all_images_as_the_folds_choose(
    folded: Path, results: Path, final: Path
) -> None:
    info = read_model_info(final)
    assert info.folds == 2 and info.class_counts["validation"] == {"cat": 0, "dog": 0}
    assert set(read_columns(folded, ["id"])["id"].to_pylist()) <= read_seen(final)
    assert (final / CROSS_VALIDATION).read_bytes() == (results / "fine_tuning.parquet").read_bytes()
    folds = [each.phases["fine_tuning"] for each in read_fold_results(results)]
    assert info.metrics["fine_tuned_share"] == np.median([each.share for each in folds])
    assert info.metrics["validation_loss"] == pytest.approx(np.mean([each.validation_loss for each in folds]))
    epochs = [each for each in read_history(final) if each.stage == "head"]
    first = np.mean([each.phases["head"].losses[0] for each in read_fold_results(results)])
    assert epochs[0].validation_loss == pytest.approx(first, rel=1e-5)
    assert min(epochs, key=lambda each: each.validation_loss) == epochs[-1]


@pytest.mark.slow
def test_a_file_of_predictions_that_was_changed_is_noticed(final: Path, tmp_path: Path) -> None:
    for path in final.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert isinstance(read_model_info(tmp_path), ModelInfo)
    (tmp_path / CROSS_VALIDATION).write_bytes(b"other")
    with pytest.raises(HeadstartError, match=r"cross_validation\.parquet is not the file that model\.json describes"):
        read_model_info(tmp_path)


def test_a_fold_that_is_missing_is_named(folded: Path, tmp_path: Path) -> None:
    train_folds(inputs_of(folded), [], "fine_tuned", tmp_path / "none")
    assert json.loads((tmp_path / "none" / "fold_results.json").read_text())["folds"] == []
    with pytest.raises(HeadstartError, match=r"results of the folds \[\], not once of \[0, 1\]"):
        combine_folds(folded, [tmp_path / "none"], tmp_path / "all")


def test_without_folds_the_validation_images_choose(splits: dict[str, Path], tmp_path: Path) -> None:
    train_folds(TrainingInputs(splits["train"], splits["train"], RECIPE, seed=0), [], "head", tmp_path / "none")
    combine_folds(splits["train"], [tmp_path / "none"], tmp_path / "all")
    inputs = TrainingInputs(splits["train"], splits["validation"], RECIPE, 0, fold_results=tmp_path / "all")
    info = train_by_method(inputs, tmp_path / "model", "head")
    assert not info.folds and info.class_counts["validation"] == {"cat": 10, "dog": 10}
    assert not (tmp_path / "model" / CROSS_VALIDATION).exists()


def test_data_without_folds_are_refused(splits: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="is not divided into folds"):
        train_folds(TrainingInputs(splits["train"], splits["train"], RECIPE, 0), [0], "head", tmp_path / "results")
