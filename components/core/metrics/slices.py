"""Parts of a test set by the data's extra columns: camera, site, year."""

import dataclasses
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.predictions import Predictions

MIN_IMAGES = 20
"""Test images below which a slice is not looked at: its accuracy would be good to no more than 20 points."""

MOST_VALUES = 50
"""Values beyond which a column names images rather than kinds of them."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """Images that share a value.

    Attributes:
        column: Name of the column.
        value: Its value.
        rows: (n,), whether an image is among them.
    """

    column: str
    value: str
    rows: NDArray[np.bool_]


def slices_of(predictions: Predictions) -> list[Slice]:
    """The slices of at least 20 images, column by column, the largest first."""
    found = []
    for column, values in predictions.slices.items():
        counts = Counter(values)
        if not 1 < len(counts) <= MOST_VALUES:
            continue
        array = np.array(values, object)
        found += [
            Slice(column, value, array == value) for value, images in counts.most_common() if images >= MIN_IMAGES
        ]
    return found
