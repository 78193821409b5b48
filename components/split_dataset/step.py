"""Splits a dataset into train, validation and test, as a function of its content."""

import contextlib
import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

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
from headstart.components.split_dataset.checks import check_classes_evaluated, check_no_leak
from headstart.components.split_dataset.groups import Assignment, GroupedImages, SplitImage, group_images
from headstart.components.split_dataset.settings import SplitSettings, SplitSizes, parse_class_counts

__all__ = ["SplitSettings", "SplitSizes", "parse_class_counts", "split_dataset"]


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
    assignment = assign_splits(data, settings)
    check_classes_evaluated(data, assignment, settings)

    folders = {"train": train, "validation": validation, "test": test}
    _write_splits(dataset, info, data, assignment, settings, folders)
    check_no_leak(folders, torn=bool(info.grouping) and settings.order == "given")
    written = {split: read_dataset_info(folder) for split, folder in folders.items()}
    event("split", left_out=len(images) - len(assignment), **{name: each.images for name, each in written.items()})
    return written


def _write_splits(
    dataset: Path,
    info: DatasetInfo,
    data: GroupedImages,
    assignment: Assignment,
    settings: SplitSettings,
    folders: Mapping[str, Path],
) -> None:
    fold_of = assign_folds(data, assignment, settings)
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
            if number in assignment:
                row = dataclasses.replace(row, label=new_labels[row.label], fold=fold_of.get(number, NO_FOLD))
                writers[assignment[number]].add(row)
        # Evaluation and publication alone read these files, and see only the test images.
        test = folders["test"]
        write_left_out(test, _find_left_out_relatives(data, assignment, "test"))
        for file in (HYGIENE, ORIGINALS):
            if (dataset / file).exists():
                shutil.copyfile(dataset / file, test / file)


def _find_left_out_relatives(data: GroupedImages, assignment: Assignment, split: str) -> dict[str, str]:
    """Group of each image that is in no split while a near-duplicate of it is in this one, by the image's id."""
    return {
        image.id: image.group
        for group in data.groups
        if any(assignment.get(image.row) == split for image in group)
        for image in group
        if image.row not in assignment
    }
