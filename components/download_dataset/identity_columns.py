"""Columns that look like an identity, such as a patient or a camera, and groups that predict the class alone."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_IDENTITY = re.compile(
    r"(?:.*_)?(?:patient|subject|person|participant|animal|specimen|site|hospital|clinic|camera|device|scanner|video|"
    r"session|sequence|burst|slide)(?:_?(?:id|no|nr|number|name|key|code))?|.+_id"
)

_MIN_VALUES = 5
"""Fewest values of an identity: of fewer, such as three sites, none could be left for a test."""

_MIN_IMAGES_A_VALUE = 1.2
"""Least mean number of images a value; a column with fewer names the image itself."""

_MIN_IMAGES_PER_CLASS = 10
_MIN_SKILL = 0.5
"""Least skill, from chance (0) to certainty (1), with which a group predicts the class by itself."""


@dataclasses.dataclass(frozen=True)
class IdentityColumn:
    """Column whose values look like names of patients, cameras and the like, and are divided by no group.

    Attributes:
        name: Name of the column.
        values: Number of its values.
        images: Number of images that have one.
        predicted: Balanced accuracy with which the value predicts the class; None if it does not, see
            `predict_class_by_group`.
    """

    name: str
    values: int
    images: int
    predicted: float | None


def looks_like_identity(name: str) -> bool:
    """Whether a column is named like an identity, such as `Patient ID`, `camera` or `sequence_id`.

    Args:
        name: Name of the column.
    """
    return bool(_IDENTITY.fullmatch(name.strip().casefold().replace(" ", "_").replace("-", "_")))


def find_identity_columns(
    columns: Mapping[str, Sequence[str]], labels: NDArray[np.integer], groups: Sequence[str]
) -> list[IdentityColumn]:
    """Finds columns named like an identity whose values lie in several groups, so that a split may divide them.

    Args:
        columns: Values of each column, (images,) each; empty: none.
        labels: Class index of each image, (images,).
        groups: Group of each image that no split divides, (images,).
    """
    group = np.unique(np.array(groups, object).astype(str), return_inverse=True)[1]
    found = []
    for name, texts in columns.items():
        named = np.array([bool(text) for text in texts])
        if not named.any() or not looks_like_identity(name):
            continue
        value = np.unique(np.array(texts, object)[named].astype(str), return_inverse=True)[1]
        values, images = int(value.max()) + 1, len(value)
        divided = len(np.unique(np.stack([value, group[named]]), axis=1).T) > values
        if divided and values >= _MIN_VALUES and images >= _MIN_IMAGES_A_VALUE * values:
            found.append(IdentityColumn(name, values, images, predict_class_by_group(value, labels[named])))
    return found


def predict_class_by_group(groups: NDArray[np.int64], labels: NDArray[np.integer]) -> float | None:
    """Balanced accuracy with which the class of an image is that of most other images of its group.

    Args:
        groups: Number of the group of each image, (n,), from 0.
        labels: Class index of each image, (n,).

    Returns:
        The balanced accuracy; None if it is far from certainty, or if fewer than two classes have enough images in
        groups of several.
    """
    counts = np.zeros((int(groups.max(initial=-1)) + 1, int(labels.max(initial=-1)) + 1), np.int64)
    np.add.at(counts, (groups, labels), 1)
    others = counts[groups]
    others[np.arange(len(labels)), labels] -= 1
    several = others.any(axis=1)
    tested = np.bincount(labels[several], minlength=counts.shape[1])
    known = np.flatnonzero(tested >= _MIN_IMAGES_PER_CLASS)
    if len(known) < 2:
        return None
    ranked = np.sort(others, axis=1)
    right = several & (others.argmax(axis=1) == labels) & (ranked[:, -1] > ranked[:, -2])
    accuracy = float(np.mean(np.bincount(labels[right], minlength=len(tested))[known] / tested[known]))
    chance = 1 / len(known)
    return accuracy if accuracy >= chance + _MIN_SKILL * (1 - chance) else None
