"""Cross-validation: the parts of each fold, what its training measured, and predictions out of fold."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from headstart.components.core.artifacts.dataset import read_columns
from headstart.components.core.artifacts.evaluation import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from headstart.components.core.artifacts.predictions import (
    UNFAMILIARITY,
    probability_columns,
    read_probabilities,
    read_unfamiliarity,
)
from headstart.components.core.storage.atomic import complete_folder, write_json
from headstart.components.core.storage.manifests import Count, Finite, Fraction, read_manifest
from headstart.components.core.util.errors import HeadstartError

FOLDS = "folds.json"
"""File of a training set that is cross-validated, see `FoldParts`."""

FOLD_RESULTS = "fold_results.json"
"""Manifest of a folder of fold results, beside which `PHASE.parquet` has the predictions after each phase."""

CROSS_VALIDATION = "cross_validation.parquet"
"""Predictions out of fold in the artifact of a model that was trained on all images, see `OutOfFold`."""

_PARTS_FORMAT = "headstart-folds/1"
_RESULTS_FORMAT = "headstart-fold-results/1"


@dataclasses.dataclass(frozen=True)
class FoldParts:
    """Division of a dataset for cross-validation; its column `fold` has the fold of each image.

    Attributes:
        folds: Number of folds.
        validation: Ids of the images that validate the training of each fold; they are of other folds, and no group
            is divided between them and the images that are trained on.
    """

    folds: Annotated[int, Field(ge=2)]
    validation: list[list[str]]


@dataclasses.dataclass(frozen=True)
class FoldRows:
    """Rows of a dataset by their use in one fold, each ascending.

    Attributes:
        train: Images that are trained on.
        validation: Images that validate the training.
        held_out: Images of the fold, which are predicted.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    held_out: NDArray[np.int64]


def write_fold_parts(dataset: Path, parts: FoldParts) -> None:
    """Writes `folds.json` into the folder of a dataset."""
    write_json(dataset / FOLDS, {"format": _PARTS_FORMAT, **dataclasses.asdict(parts)})


def read_fold_parts(dataset: Path) -> FoldParts | None:
    """Reads `folds.json` from the folder of a dataset; None if it is not cross-validated.

    Raises:
        HeadstartError: If the file is damaged.
    """
    if not (dataset / FOLDS).exists():
        return None
    parts, _ = read_manifest(dataset / FOLDS, "dataset", FoldParts, _PARTS_FORMAT)
    if len(parts.validation) != parts.folds:
        raise HeadstartError(
            f"{dataset / FOLDS} is damaged ({parts.folds} folds, {len(parts.validation)} validation sets); make the "
            "dataset again"
        )
    return parts


def find_fold_rows(dataset: Path, parts: FoldParts, fold: int) -> FoldRows:
    """Finds the rows of a dataset by their use in one fold.

    Args:
        dataset: Dataset artifact.
        parts: Its division.
        fold: Number of the fold, from 0.
    """
    columns = read_columns(dataset, ["id", "fold"])
    held_out = columns["fold"].to_numpy() == fold
    chosen = set(parts.validation[fold])
    validation = np.array([image in chosen for image in columns["id"].to_pylist()], bool) & ~held_out
    return FoldRows(*(np.flatnonzero(each) for each in (~held_out & ~validation, validation, held_out)))


@dataclasses.dataclass(frozen=True)
class PhaseResult:
    """Result of one training phase of a fold, on the fold's validation images.

    Attributes:
        losses: Validation loss after each epoch; empty: no epoch ended with a finite loss.
        accuracies: Validation accuracy after each epoch.
        validation_loss: Validation loss of the model that the phase ended with.
        validation_accuracy: Its validation accuracy.
        temperature: Temperature that its validation predictions call for; 1 where they call for none.
        ridge: Whether the head has the weights of ridge regression.
        share: Share of the fine-tuned weights in the weight interpolation.
    """

    losses: list[Finite]
    accuracies: list[Fraction]
    validation_loss: Finite
    validation_accuracy: Fraction
    temperature: Annotated[float, Field(ge=LOWEST_TEMPERATURE, le=HIGHEST_TEMPERATURE)]
    ridge: bool = False
    share: Fraction = 1.0


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """Result of the training of one fold.

    Attributes:
        fold: Number of the fold, from 0.
        train_images: Number of images that were trained on.
        validation_images: Number of images that validated the training.
        images: Number of images of the fold, which were predicted.
        seconds: Training time of the fold.
        phases: Results by phase, in order.
    """

    fold: Count
    train_images: Count
    validation_images: Count
    images: Count
    seconds: Finite
    phases: dict[str, PhaseResult]


class _Results(BaseModel):
    folds: list[FoldResult]


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """Predictions for n images, each by a model that was not trained or tuned on the image or its group.

    Attributes:
        ids: Hashes of the pixels, (n,).
        folds: Fold of each image, from 0, (n,).
        temperatures: Temperature of each image's fold, which validation images of the fold's own gave, (n,).
        probabilities: Class probabilities before temperature scaling, (n, classes).
        unfamiliarity: Unfamiliarities, (n,).
    """

    ids: list[str]
    folds: NDArray[np.int64]
    temperatures: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    unfamiliarity: NDArray[np.float64]

    def select(self, rows: NDArray[np.int64]) -> "OutOfFold":
        """Predictions of some rows, in their order."""
        return OutOfFold(
            [self.ids[row] for row in rows],
            self.folds[rows],
            self.temperatures[rows],
            self.probabilities[rows],
            self.unfamiliarity[rows],
        )


def concatenate_out_of_fold(parts: Sequence[OutOfFold]) -> OutOfFold:
    """Concatenates predictions of several folds, at least one."""
    names = ("folds", "temperatures", "probabilities", "unfamiliarity")
    arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
    return OutOfFold([image for part in parts for image in part.ids], *arrays)


def write_out_of_fold(path: Path, predictions: OutOfFold, classes: list[str]) -> None:
    """Writes one row for each image.

    Columns: `id`, `fold`, `temperature` (float64), `probability_NAME` (float64) for each class, and `unfamiliarity`
    (float64).
    """
    columns = {
        "id": pa.array(predictions.ids, pa.string()),
        "fold": pa.array(predictions.folds, pa.int32()),
        "temperature": predictions.temperatures,
        **probability_columns(classes, predictions.probabilities),
        UNFAMILIARITY: predictions.unfamiliarity,
    }
    pq.write_table(pa.table(columns), path)


def read_out_of_fold(path: Path, classes: list[str]) -> OutOfFold:
    """Reads the file of `write_out_of_fold`.

    Args:
        path: The file.
        classes: Class names in the order of the probabilities.

    Raises:
        HeadstartError: If the file is missing or damaged.
    """
    try:
        table = pq.read_table(path)
        temperatures = np.asarray(table["temperature"].to_numpy(), np.float64)
        if not ((temperatures >= LOWEST_TEMPERATURE) & (temperatures <= HIGHEST_TEMPERATURE)).all():
            raise ValueError("a temperature is missing or out of range")
        unfamiliarity = read_unfamiliarity(table)
        if unfamiliarity is None:
            raise ValueError("there is no column unfamiliarity")
        return OutOfFold(
            table["id"].to_pylist(),
            np.asarray(table["fold"].to_numpy(), np.int64),
            temperatures,
            read_probabilities(table, classes),
            unfamiliarity,
        )
    except (KeyError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        raise HeadstartError(f"{path} holds no predictions out of fold ({error}); train the model again") from None


def write_fold_results(
    folder: Path, results: Sequence[FoldResult], predictions: dict[str, OutOfFold], classes: list[str]
) -> None:
    """Writes the results of some folds; `fold_results.json` comes last.

    Args:
        folder: Empty folder.
        results: Results of the folds.
        predictions: Predictions for the images of these folds, by the phase after which they were made.
        classes: Class names.
    """
    for phase, each in predictions.items():
        write_out_of_fold(folder / f"{phase}.parquet", each, classes)
    values = {"format": _RESULTS_FORMAT, "folds": [dataclasses.asdict(each) for each in results]}
    complete_folder(folder, FOLD_RESULTS, values)


def read_fold_results(folder: Path) -> list[FoldResult]:
    """Reads the results of folds; empty where nothing was cross-validated.

    Raises:
        HeadstartError: If the folder is incomplete or damaged.
    """
    return read_manifest(folder / FOLD_RESULTS, "folder of fold results", _Results, _RESULTS_FORMAT)[0].folds
