"""Slices of a test set by the data's extra columns, such as camera, site or year."""

import dataclasses
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.predictions import Predictions

MIN_SLICE_IMAGES = 20
"""Fewest test images of a slice; the accuracy of a smaller one is good to no more than 20 points."""

MAX_SLICE_VALUES = 50
"""Most values of a column; one with more identifies images rather than kinds of images."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """Images that share a value of a column.

    Attributes:
        column: Name of the column.
        value: Value that the images share.
        rows: Boolean mask of the images, (n,).
    """

    column: str
    value: str
    rows: NDArray[np.bool_]


def find_slices(predictions: Predictions) -> list[Slice]:
    """Finds the slices of at least 20 images, column by column, the largest first."""
    found = []
    for column, values in predictions.slices.items():
        counts = Counter(values)
        if not 1 < len(counts) <= MAX_SLICE_VALUES:
            continue
        array = np.array(values, object)
        found += [
            Slice(column, value, array == value)
            for value, images in counts.most_common()
            if images >= MIN_SLICE_IMAGES
        ]
    return found
