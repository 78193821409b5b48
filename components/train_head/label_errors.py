"""Suspected label errors, by confident learning."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.artifacts.dataset import read_rows
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.thumbnails import Thumbnail, encode_jpeg, shrink
from headstart.components.core.util.spreadsheet import escape_cell

SUSPECTED = "suspected label errors"

_MAX_THUMBNAILS = 24


@dataclasses.dataclass(frozen=True)
class LabelSuspects:
    """Images that look like another class than their label.

    Attributes:
        rows: Row numbers of the images, (m,), the most doubtful first.
        confident: Whether the label is taken for an error, (m,).
    """

    rows: NDArray[np.int64]
    confident: NDArray[np.bool_]


def find_suspects(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> LabelSuspects:
    """Finds images for which another class is likelier than their label, and those whose label is an error.

    A label is taken for an error if the likelier class is at least as probable as it is on average for the images
    labelled with it. All are ranked by how far the probability of their label falls short.

    Source: C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
    70 (2021), section 3; ranking by normalized margin.

    Args:
        labels: Given labels, (n,).
        probabilities: Out-of-fold class probabilities, (n, classes).
    """
    images, classes = probabilities.shape
    own = probabilities[np.arange(images), labels]
    counts = np.bincount(labels, minlength=classes)
    # A class without images has no average, so no image is confidently of it.
    averages = np.where(counts > 0, np.bincount(labels, own, classes) / np.maximum(1, counts), np.inf)
    likeliest = probabilities.argmax(axis=1)
    margin = own - probabilities.max(axis=1)
    rows = np.flatnonzero(likeliest != labels)
    rows = rows[np.argsort(margin[rows], kind="stable")]
    return LabelSuspects(rows, probabilities[rows, likeliest[rows]] >= averages[likeliest[rows]])


def write_label_errors(path: Path, predictions: Predictions, splits: list[str], suspects: LabelSuspects) -> None:
    """Writes a CSV file of the suspects, which `download_dataset` takes back as corrections.

    Columns: `id`; `label`, the corrected class, which differs only for a confident suspect; `given`, the present
    class; `suggested`, the likeliest class; `path`; `split`; and the probabilities of the given and the suggested
    class. The file is safe to open in a spreadsheet: see `core.util.spreadsheet`.

    Args:
        path: File to write.
        predictions: Out-of-fold predictions.
        splits: Name of each image's split.
        suspects: Suspects among the predictions.
    """
    predicted = predictions.predicted
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["id", "label", "given", "suggested", "path", "split", "probability_given", "probability_suggested"]
        )
        for row, confident in zip(suspects.rows.tolist(), suspects.confident.tolist(), strict=True):
            given, likely = int(predictions.labels[row]), int(predicted[row])
            names = predictions.classes[given], predictions.classes[likely]
            probabilities = (f"{predictions.probabilities[row, label]:.4f}" for label in (given, likely))
            table.writerow(
                map(
                    escape_cell,
                    [
                        predictions.ids[row],
                        names[confident],
                        *names,
                        predictions.paths[row],
                        splits[row],
                        *probabilities,
                    ],
                )
            )


def read_suspect_thumbnails(
    folders: Sequence[Path], predictions: Predictions, suspects: LabelSuspects
) -> list[Thumbnail]:
    """Reads thumbnails of the first two dozen suspects.

    Args:
        folders: Dataset artifacts that the predictions are of, one after the other.
        predictions: Out-of-fold predictions.
        suspects: Suspects among the predictions.
    """
    wanted = {int(row): place for place, row in enumerate(suspects.rows[:_MAX_THUMBNAILS])}
    found: dict[int, Thumbnail] = {}
    predicted = predictions.predicted
    number = 0
    for folder in folders if wanted else ():
        for image in read_rows(folder):
            if number in wanted:
                likely = int(predicted[number])
                found[wanted[number]] = Thumbnail(
                    SUSPECTED,
                    image.id,
                    image.path,
                    predictions.classes[image.label],
                    predictions.classes[likely],
                    float(predictions.probabilities[number, likely]),
                    float(predictions.probabilities[number, image.label]),
                    encode_jpeg(shrink(Image.open(io.BytesIO(image.image)))),
                )
            number += 1
    return [found[place] for place in sorted(found)]
