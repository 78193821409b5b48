"""Combines the results of cross-validation folds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart.components.core.artifacts.cross_validation import (
    OutOfFold,
    concatenate_out_of_fold,
    read_fold_parts,
    read_fold_results,
    read_out_of_fold,
    write_fold_results,
)
from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging


@explain_full_disk()
def combine_folds(train: Path, results: Sequence[Path], combined: Path) -> None:
    """Writes the results of all folds into one folder, predictions in the order of the dataset.

    Args:
        train: Dataset artifact of all images.
        results: Folders that `train_folds` made; without folds where nothing is cross-validated.
        combined: Folder to write, emptied first.

    Raises:
        HeadstartError: If a fold is missing or there twice, or the images are not those of the dataset.
    """
    start_logging()
    parts, classes = read_fold_parts(train), read_dataset_info(train).classes
    read = [(folder, read_fold_results(folder)) for folder in results]
    found = sorted((result for _, each in read for result in each), key=lambda result: result.fold)
    wanted = list(range(parts.folds if parts else 0))
    if [each.fold for each in found] != wanted:
        raise HeadstartError(f"there are results of the folds {[each.fold for each in found]}, not once of {wanted}")
    phases = list(found[0].phases) if found else []
    ids = read_columns(train, ["id"])["id"].to_pylist()
    make_empty_folder(combined)
    # Some tasks may have had no fold.
    trained = [folder for folder, each in read if each]
    predictions = {
        phase: _order([read_out_of_fold(folder / f"{phase}.parquet", classes) for folder in trained], ids, train)
        for phase in phases
    }
    write_fold_results(combined, found, predictions, classes)
    if found:
        event("folds_combined", folds=len(found), images=len(ids), seconds=sum(each.seconds for each in found))


def _order(parts: Sequence[OutOfFold], ids: list[str], train: Path) -> OutOfFold:
    whole = concatenate_out_of_fold(parts)
    row_of = {image: row for row, image in enumerate(whole.ids)}
    if len(row_of) != len(whole.ids) or set(row_of) != set(ids):
        raise HeadstartError(f"the folds did not predict each image of {train} once; train them again")
    return whole.select(np.array([row_of[image] for image in ids], np.int64))
