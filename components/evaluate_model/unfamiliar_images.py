"""Unfamiliar images: the threshold that validation images chose, and how many test images are flagged."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.model_calibration import UnfamiliarityThreshold
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.metrics.clusters import share_interval
from headstart.components.core.metrics.statistics import Groups, Interval
from headstart.components.core.metrics.unfamiliarity import flag_unfamiliar

SHOWN = 12
"""Test images that the report shows, the least familiar first."""


@dataclasses.dataclass(frozen=True)
class Unfamiliarity:
    """Threshold of unfamiliar images, and the rate of false alarms on the test images.

    Attributes:
        wanted: Wanted share of new images like the validation images that are flagged.
        threshold: Largest unfamiliarity that is not flagged.
        bound: Largest share of new images like these that are flagged, with 95 % confidence.
        validation_images: Number of validation images that chose the threshold.
        validation_needed: Fewest validation images for `wanted`, or groups where `validation_groups` is given.
        validation_groups: See `UnfamiliarityThreshold`.
        unit: See `UnfamiliarityThreshold`.
        flagged: Number of test images that are flagged.
        share: Their share of all test images.
        share_interval: Interval of `share` at the 95 % level, see `core.metrics.clusters.share_interval`.
        reference_images: Number of training images that new ones are compared with.
        neighbours: Rank of the nearest of them that the distance is to.
    """

    wanted: float
    threshold: float
    bound: float
    validation_images: int
    validation_needed: int
    validation_groups: int | None
    unit: str
    flagged: int
    share: float
    share_interval: Interval
    reference_images: int
    neighbours: int


def measure_unfamiliarity(
    chosen: UnfamiliarityThreshold, scores: NDArray[np.float64], info: ModelInfo, groups: Groups | None = None
) -> Unfamiliarity:
    """Measures on test images a threshold that validation images chose.

    Args:
        chosen: Threshold and what it promises.
        scores: Unfamiliarities of the test images, (n,), n at least 1.
        info: Description of the model.
        groups: Number of the group of each test image, (n,); None: images are independent.
    """
    unfamiliar = flag_unfamiliar(scores, chosen.threshold)
    flagged = int(unfamiliar.sum())
    return Unfamiliarity(
        **dataclasses.asdict(chosen),
        flagged=flagged,
        share=flagged / len(scores),
        share_interval=share_interval(unfamiliar, groups),
        reference_images=info.reference_images,
        neighbours=info.neighbours,
    )


def find_least_familiar(predictions: Predictions) -> list[int]:
    """Rows of the least familiar images, the furthest first; empty without unfamiliarities."""
    if predictions.unfamiliarity is None:
        return []
    return [int(row) for row in np.argsort(-predictions.unfamiliarity, kind="stable")[:SHOWN]]
