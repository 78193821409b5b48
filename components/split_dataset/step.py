"""Splits a dataset into train, validation and test, as a function of its content."""

import contextlib
import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from headstart.components.core.artifacts.cross_validation import read_fold_parts, write_fold_parts
from headstart.components.core.artifacts.dataset import (
    NEAR_DUPLICATES,
    NO_FOLD,
    DatasetInfo,
    DatasetWriter,
    read_columns,
    read_dataset_info,
    read_rows,
)
from headstart.components.core.artifacts.hygiene import HYGIENE
from headstart.components.core.artifacts.left_out import write_left_out
from headstart.components.core.artifacts.originals import ORIGINALS
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.logs import event, log_phase, start_logging, track_progress
from headstart.components.split_dataset.assignment import assign_folds, assign_splits
from headstart.components.split_dataset.checks import (
    check_classes_evaluated,
    check_no_leak,
    check_no_leak_between_folds,
)
from headstart.components.split_dataset.cross_validation import assign_cross_validation
from headstart.components.split_dataset.groups import GroupedImages, SplitImage, group_images
from headstart.components.split_dataset.settings import (
    NO_CROSS_VALIDATION,
    SplitSettings,
    SplitSizes,
    parse_class_counts,
)

__all__ = [
    "NO_CROSS_VALIDATION",
    "SplitSettings",
    "SplitSizes",
    "list_fold_tasks",
    "parse_class_counts",
    "split_dataset",
]


@explain_full_disk()
def split_dataset(
    dataset: Path, train: Path, validation: Path, test: Path, settings: SplitSettings
) -> dict[str, DatasetInfo]:
    """Writes three datasets; each class is split alike, and no group of near-duplicates is in two of them.

    With fractions the number of images of each class is exact, as far as its groups allow. Each of the three has
    images of every class that has three groups.

    With order ``hash`` the split of an image depends on the seed and its pixels, and little on other images: the same
    data gives the same split anywhere. An image goes where its hash points while there is capacity.

    - With fractions the capacity is the exact number of images. A surplus in one split goes to the others, those
      images first whose hashes are closest to the split's ends. When a class of 100 images grows by a tenth, 2 % of
      the old ones move; of 1,000 images 0.5 %.
    - With counts smaller than the class, new images may replace old ones, but hardly move any to another split. Where
      groups would leave a split short, larger ones are assigned first.

    With order ``name`` images are taken in natural order of their paths, as the tutorial does: the first for
    training, the next for validation, the last for test.

    Where the user names groups, such as patients, each lies whole in one split, with all near-duplicates of its
    images. Then fractions and counts are met as nearly as whole groups allow, see `whole_groups`; with counts, images
    beyond them are left out.

    With cross-validation every image is in train and in test, with its fold in the column `fold`, and validation is
    empty. `folds.json` in train has the validation images of each fold, see `assign_cross_validation`.

    Order ``given`` keeps the ready-made split of the source. A near-duplicate of a test or validation image is
    removed from the splits before it. Without a ready-made validation set, part of the training images become one, by
    hash. Groups of the user's that it tears are counted, or refused with `strict_groups`.

    Args:
        dataset: Dataset artifact to split.
        train: Folder of the training set to create; `validation` and `test` likewise.
        validation: Folder of the validation set to create.
        test: Folder of the test set to create.
        settings: Sizes of the splits, order of assignment, seed and folds.

    Returns:
        Description of each of the three datasets, by split.

    Raises:
        HeadstartError: If a class has too few images, or its near-duplicates do not let counts be filled exactly; if
            fewer than two classes could be evaluated; if counts by class name other classes than the data; or if
            groups are to be strict, and a ready-made split tears one.
    """
    start_logging()
    log_phase("assigning images")
    info = read_dataset_info(dataset)
    columns = ["id", "label", "group", "image.path", "split", *([NEAR_DUPLICATES] if info.grouping else [])]
    table = read_columns(dataset, columns)
    values = zip(*(table[name].to_pylist() for name in columns), strict=True)
    images = [SplitImage(row, *each) for row, each in enumerate(values)]
    data = group_images(images, info.classes, settings, info.grouping)
    folders = {"train": train, "validation": validation, "test": test}
    cross_validation = assign_cross_validation(data, settings)
    if cross_validation.folds:
        splits_of: dict[int, tuple[str, ...]] = dict.fromkeys(cross_validation.fold_of, ("train", "test"))
        _write_splits(dataset, info, data, _Division(splits_of, cross_validation.fold_of), folders)
        write_fold_parts(train, cross_validation.to_parts({image.row: image.id for image in images}))
        check_no_leak_between_folds(train)
    else:
        assignment = assign_splits(data, settings)
        check_classes_evaluated(data, assignment, settings)
        splits_of = {row: (split,) for row, split in assignment.items()}
        division = _Division(splits_of, assign_folds(data, assignment, settings))
        _write_splits(dataset, info, data, division, folders)
        check_no_leak(folders, torn=bool(info.grouping) and settings.order == "given")
    written = {split: read_dataset_info(folder) for split, folder in folders.items()}
    left_out = len(images) - len(splits_of)
    event("split", left_out=left_out, **{name: each.images for name, each in written.items()})
    return written


def list_fold_tasks(train: Path, at_once: int = 1) -> list[str]:
    """Folds of a cross-validation by the task that trains them, each a list of numbers in text.

    Args:
        train: Training set that `split_dataset` wrote.
        at_once: Number of folds in a task; 0: all.

    Returns:
        Lists of folds such as ``0,1``; an empty one where nothing is cross-validated, as KFP needs at least one.
    """
    parts = read_fold_parts(train)
    folds = range(parts.folds if parts else 0)
    size = at_once or max(1, len(folds))
    return [",".join(map(str, folds[at : at + size])) for at in range(0, max(1, len(folds)), size)]


@dataclasses.dataclass(frozen=True)
class _Division:
    """Use of each image by its row.

    Attributes:
        splits_of: Splits that the image is in; an image in no split is absent.
        fold_of: Cross-validation fold of the image, if it has one.
    """

    splits_of: Mapping[int, tuple[str, ...]]
    fold_of: Mapping[int, int]


def _write_splits(
    dataset: Path, info: DatasetInfo, data: GroupedImages, division: _Division, folders: Mapping[str, Path]
) -> None:
    # Labels in the new datasets are indices of the classes that stay.
    classes = [name for label, name in enumerate(info.classes) if label not in data.left_out]
    new_labels = {label: classes.index(name) for label, name in enumerate(info.classes) if label not in data.left_out}
    with contextlib.ExitStack() as stack:
        writers = {
            split: stack.enter_context(
                DatasetWriter(
                    *(folder, classes, info.source, info.extra, info.max_side, info.ranges, split, info.grouping)
                )
            )
            for split, folder in folders.items()
        }
        for number, row in enumerate(track_progress(read_rows(dataset), "writing", info.images)):
            splits = division.splits_of.get(number, ())
            if splits:
                row = dataclasses.replace(
                    row, label=new_labels[row.label], fold=division.fold_of.get(number, NO_FOLD)
                )
            for split in splits:
                writers[split].add(row)
        # Evaluation and publication alone read these files, and see only the test images.
        test = folders["test"]
        write_left_out(test, _find_left_out_relatives(data, division, "test"))
        for file in (HYGIENE, ORIGINALS):
            if (dataset / file).exists():
                shutil.copyfile(dataset / file, test / file)


def _find_left_out_relatives(data: GroupedImages, division: _Division, split: str) -> dict[str, str]:
    """Group of each image that is in no split while a near-duplicate of it is in this one, by the image's id."""
    return {
        image.id: image.group
        for group in data.groups
        if any(split in division.splits_of.get(image.row, ()) for image in group)
        for image in group
        if image.row not in division.splits_of
    }
