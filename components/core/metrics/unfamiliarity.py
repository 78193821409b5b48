"""Unfamiliarity: how far an image's features are from those of the training images, and the threshold of an alarm."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from headstart.components.core.artifacts.model_calibration import UnfamiliarityThreshold
from headstart.components.core.artifacts.predictions import FURTHEST
from headstart.components.core.artifacts.reference import ReferenceFeatures
from headstart.components.core.metrics.statistics import CONFIDENCE_LEVEL, Groups
from headstart.components.core.util.errors import HeadstartError

NEIGHBOURS = 5
"""Rank of the nearest reference image that the distance is to; among 1, 5 and 10 the differences are small."""

SHORTEST = 1e-12
"""Least length that features are divided by, so that features of zeros stay zeros."""


def scale_to_unit_length(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scales the features of each image to length 1; zeros stay zeros.

    Args:
        features: Features, (n, features).
    """
    wide = features.astype(np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), SHORTEST))


def check_reference_width(width: int, reference: ReferenceFeatures) -> None:
    """Refuses reference features of another network.

    Args:
        width: Number of features that the network computes for an image.
        reference: Reference features of the model.

    Raises:
        HeadstartError: If the reference has another number of features.
    """
    if width != reference.features.shape[1]:
        raise HeadstartError(
            f"the reference features of the model are {reference.features.shape[1]} for an image, its network "
            f"computes {width}: they are of another network; train the model again"
        )


def compute_unfamiliarity(features: NDArray[np.floating], reference: ReferenceFeatures) -> NDArray[np.float32]:
    """Cosine distance of each image's features to those of its k-th nearest reference image.

    Source: Y. Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022, arXiv:2204.06507.

    Args:
        features: Activations that the output layer gets, (n, features).
        reference: Reference features of the model.

    Returns:
        Unfamiliarities, (n,), 0 to 2: 0 for features in the same direction as those of k training images.

    Raises:
        HeadstartError: If the reference has another number of features.
    """
    check_reference_width(features.shape[1], reference)
    cosines = scale_to_unit_length(features) @ reference.features.T
    nearest = np.partition(cosines, -reference.neighbours, axis=1)[:, -reference.neighbours]
    return np.asarray(np.clip(1 - nearest, 0, FURTHEST), np.float32)


def choose_threshold(
    scores: NDArray[np.floating], false_alarm: float, groups: Groups | None = None, unit: str = ""
) -> UnfamiliarityThreshold:
    """Chooses the least threshold that keeps a rate of false alarms, with 95 % confidence.

    The share of new images above the j-th smallest of n scores has the distribution Beta(n - j + 1, j), whatever that
    of the scores is; where scores are equal it is smaller. The threshold is the smallest score whose 95 % quantile of
    that share is at most `false_alarm`. Where there are too few images for that, it is the largest score.

    Images of a group, such as a patient, are no independent draws. With groups the threshold is that of their largest
    scores, so the promise is about new groups: the share of them any image of which is flagged. The share of new
    images is no larger on average, if each new group counts equally.

    Source: S. S. Wilks, Annals of Mathematical Statistics 12 (1941); V. Vovk, "Conditional validity of inductive
    conformal predictors", ACML 2012, arXiv:1209.2673, proposition 2a.

    Args:
        scores: Unfamiliarities of validation images, (n,), n at least 1.
        false_alarm: Wanted share of new images like these that are flagged, above 0 and below 0.5.
        groups: Number of the group of each image, (n,); None: images are independent.
        unit: Word for a group; empty without groups.
    """
    images = len(scores)
    if groups is not None:
        scores = _find_largest(scores, groups)
    number = len(scores)
    rank = np.arange(1, number + 1)
    bounds = betaincinv(number - rank + 1, rank, CONFIDENCE_LEVEL)
    kept = np.flatnonzero(bounds <= false_alarm)
    at = int(kept[0]) if len(kept) else number - 1
    return UnfamiliarityThreshold(
        wanted=false_alarm,
        threshold=float(np.sort(scores)[at]),
        bound=float(bounds[at]),
        validation_images=images,
        validation_needed=count_images_needed(false_alarm),
        validation_groups=None if groups is None else number,
        unit=unit,
    )


def _find_largest(scores: NDArray[np.floating], groups: Groups) -> NDArray[np.floating]:
    """Largest score of each group, (groups,)."""
    group = np.unique(groups, return_inverse=True)[1]
    largest = np.full(int(group.max()) + 1, -np.inf)
    np.maximum.at(largest, group, scores)
    return largest


def count_images_needed(false_alarm: float) -> int:
    """Fewest validation images whose largest score keeps a rate of false alarms with 95 % confidence.

    Args:
        false_alarm: Wanted share of new images that are flagged, above 0 and below 0.5.
    """
    return math.ceil(math.log(1 - CONFIDENCE_LEVEL) / math.log1p(-false_alarm))


def flag_unfamiliar(scores: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Whether each image is unfamiliar, (n,); NaN, for an image that cannot be read, is not.

    Args:
        scores: Unfamiliarities, (n,).
        threshold: Largest unfamiliarity that is not flagged.
    """
    return np.asarray(scores > threshold)
