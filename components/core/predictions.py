"""Predictions: Parquet with `id`, `label` and one probability per class, which is all that figures need."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headstart.components.core.dataset import read_columns, read_info

PREDICTIONS = "predictions.parquet"


def write_predictions(path: Path, dataset: Path, probabilities: NDArray[np.float64]) -> None:
    """Writes one row an image, in the dataset's order.

    Columns: `id` (hash of the pixels), `path` (where the image came from), `label` (index of its class),
    `label_name`, `predicted` (name of the likeliest class), and `probability_NAME` (float64) for each class.

    Args:
        path: The file to write.
        dataset: The dataset artifact that was predicted.
        probabilities: (images, classes), each row adding up to 1.
    """
    classes = read_info(dataset).classes
    rows = read_columns(dataset, ["id", "label", "label_name", "image.path"])
    columns = {
        "id": rows["id"],
        "path": rows["image.path"],
        "label": rows["label"],
        "label_name": rows["label_name"],
        "predicted": pa.array([classes[index] for index in probabilities.argmax(axis=1)]),
    }
    for index, name in enumerate(classes):
        columns[f"probability_{name}"] = pa.array(probabilities[:, index])
    pq.write_table(pa.table(columns), path)
