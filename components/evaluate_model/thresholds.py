"""Coverage and precision over the threshold, of all images and of those predicted as one class."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.metrics.clusters import korn_graubard_lower_bounds
from headstart.components.core.metrics.statistics import Groups, clopper_pearson_lower_bounds

SLIDER_STEPS = 200
"""Steps of the threshold slider from 0 to 1."""

TABLE_THRESHOLDS = (0.5, 0.8, 0.9, 0.95, 0.99)
HISTOGRAM_BINS = 20


@dataclasses.dataclass(frozen=True)
class ClassThresholds:
    """Predictions of one class over the threshold.

    Attributes:
        name: Name of the class.
        images: Number of images predicted as the class.
        points: Number of them with a probability of at least each of `TABLE_THRESHOLDS`, and how many of these are
            right.
        steps: The same at each step of the slider, with the lower bound of the precision.
    """

    name: str
    images: int
    points: list[tuple[int, int]]
    steps: list[tuple[int, int, float]]


def compute_slider(
    predictions: Predictions, probabilities: NDArray[np.float64]
) -> list[tuple[float, int, int, float]]:
    """Each threshold with its predictions, correct predictions, and lower bound of the precision.

    Args:
        predictions: Predictions of the model.
        probabilities: Their calibrated probabilities, (n, classes).
    """
    steps = _count_steps(probabilities.max(axis=1), predictions.right, predictions.clusters)
    return [(step / SLIDER_STEPS, *values) for step, values in enumerate(steps)]


def compute_class_thresholds(
    predictions: Predictions, probabilities: NDArray[np.float64], most: int
) -> list[ClassThresholds]:
    """Counts predictions over the threshold by predicted class, for the classes that are predicted most.

    Args:
        predictions: Predictions of the model.
        probabilities: Their calibrated probabilities, (n, classes).
        most: Largest number of classes.
    """
    confidence, predicted, right = probabilities.max(axis=1), predictions.predicted, predictions.right
    groups = predictions.clusters
    sizes = np.bincount(predicted, minlength=len(predictions.classes))
    found = []
    for at in sorted(np.argsort(-sizes, kind="stable")[:most].tolist()):
        own = predicted == at
        reached = [own & (confidence >= threshold) for threshold in TABLE_THRESHOLDS]
        points = [(int(each.sum()), int((each & right).sum())) for each in reached]
        steps = _count_steps(confidence[own], right[own], None if groups is None else groups[own])
        found.append(ClassThresholds(predictions.classes[at], int(sizes[at]), points, steps))
    return [each for each in found if each.images]


def thresholds_as_json(classes: list[ClassThresholds]) -> list[dict[str, Any]]:
    """The thresholds of each class for the page's script."""
    return [{"images": each.images, "steps": each.steps} for each in classes]


def count_confidences(
    predictions: Predictions, probabilities: NDArray[np.float64]
) -> list[tuple[float, float, int, int]]:
    """Bins of the confidence histogram: lower and upper edge, correct and wrong predictions.

    Bins run from the lowest possible confidence, one over the number of classes, to 1.

    Args:
        predictions: Predictions of the model.
        probabilities: Their calibrated probabilities, (n, classes).
    """
    confidence = probabilities.max(axis=1)
    edges = np.linspace(1 / len(predictions.classes), 1, HISTOGRAM_BINS + 1)
    inside = np.clip(confidence, edges[0], edges[-1])
    right, wrong = (np.histogram(inside[mask], edges)[0] for mask in (predictions.right, ~predictions.right))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), right.tolist(), wrong.tolist(), strict=True))


def _count_steps(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], groups: Groups | None
) -> list[tuple[int, int, float]]:
    thresholds = np.arange(SLIDER_STEPS + 1) / SLIDER_STEPS
    answered = np.array([(confidence >= each).sum() for each in thresholds])
    correct = np.array([(right & (confidence >= each)).sum() for each in thresholds])
    if groups is None:
        bounds = clopper_pearson_lower_bounds(correct, answered)
    else:
        falling = np.argsort(-confidence, kind="stable")
        bounds = np.r_[0.0, korn_graubard_lower_bounds(right[falling], groups[falling])][answered]
    return list(zip(answered.tolist(), correct.tolist(), np.round(bounds, 5).tolist(), strict=True))
