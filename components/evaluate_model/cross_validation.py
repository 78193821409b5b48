"""Evaluation from predictions out of fold: what a model calibrates and abstains by, and how that does on new images.

The model takes its temperature and its thresholds from all images, each predicted by a model that had not seen it.
What they achieve is measured fold by fold with others, which the images of the fold had no part in.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.cross_validation import OutOfFold
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.metrics.calibration import estimate_temperature, softmax, to_logits
from headstart.components.core.metrics.clusters import share_interval
from headstart.components.core.metrics.statistics import Groups, widen_for_folds
from headstart.components.core.metrics.unfamiliarity import choose_threshold, flag_unfamiliar
from headstart.components.evaluate_model.classification_metrics import ModelMetrics
from headstart.components.evaluate_model.reliability import (
    WANTED_PRECISIONS,
    Abstention,
    Calibration,
    choose_abstention,
    count_answered,
    measure_calibration,
)
from headstart.components.evaluate_model.unfamiliar_images import Unfamiliarity, measure_unfamiliarity


@dataclasses.dataclass(frozen=True)
class FoldMetrics:
    """Metrics of one fold.

    Attributes:
        images: Number of its images.
        correct: Number of correct predictions among them.
        temperature: Temperature that the fold's own validation images gave.
    """

    images: int
    correct: int
    temperature: float


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """Cross-validation of the final model, whose test images are all images, predicted out of fold.

    Attributes:
        folds: Number of folds.
        by_fold: Metrics of each fold.
    """

    folds: int
    by_fold: list[FoldMetrics]


def describe_cross_validation(labels: NDArray[np.int64], predicted: OutOfFold) -> CrossValidation:
    """Metrics by fold.

    Args:
        labels: Class indices, (n,).
        predicted: Predictions out of fold for the same images.
    """
    right = predicted.probabilities.argmax(axis=1) == labels
    numbers = np.unique(predicted.folds).tolist()
    rows = [predicted.folds == number for number in numbers]
    by_fold = [FoldMetrics(int(each.sum()), int(right[each].sum()), predicted.temperatures[each][0]) for each in rows]
    return CrossValidation(len(numbers), by_fold)


def widen_intervals(metrics: ModelMetrics, folds: int) -> ModelMetrics:
    """Metrics of predictions out of fold, with intervals that allow for the folds, see `widen_for_folds`.

    Args:
        metrics: Metrics with intervals as of a test set.
        folds: Number of folds.
    """

    def widen(record: Any) -> Any:
        """A record whose fields `NAME_interval` are widened around its fields `NAME`, and those of records in it."""
        changes: dict[str, Any] = {}
        for name, value in vars(record).items():
            if dataclasses.is_dataclass(value):
                changes[name] = widen(value)
            elif name.endswith("_interval") and value:
                of = name.removesuffix("_interval")
                most = math.inf if of == "log_loss" else 1.0
                changes[name] = widen_for_folds(getattr(record, of), value, folds, most)
        return dataclasses.replace(record, **changes)

    widened: ModelMetrics = widen(metrics)
    return dataclasses.replace(
        widened,
        per_class={name: widen(each) for name, each in metrics.per_class.items()},
        confusions=[widen(each) for each in metrics.confusions],
    )


def calibrate_out_of_fold(
    labels: NDArray[np.int64], predicted: OutOfFold, groups: Groups | None = None
) -> tuple[Calibration, NDArray[np.float64]]:
    """Fits the final model's temperature to all images, and measures calibration with those of the folds.

    Args:
        labels: Class indices, (n,).
        predicted: Predictions out of fold for the same images.
        groups: Number of the group of each image, (n,); None: images are independent.

    Returns:
        The calibration, and the probabilities scaled by the temperature of each image's fold, (n, classes); not
        scaled where the final model's are not.
    """
    estimate = estimate_temperature(labels, to_logits(predicted.probabilities), groups)
    scaled = predicted.probabilities
    if estimate.supported:
        scaled = softmax(to_logits(predicted.probabilities) / predicted.temperatures[:, None])
    return measure_calibration(estimate, len(labels), (labels, predicted.probabilities), groups, scaled), scaled


def compute_abstentions_out_of_fold(
    labels: NDArray[np.int64],
    scaled: NDArray[np.float64],
    folds: NDArray[np.int64],
    groups: Groups | None = None,
    unit: str = "",
) -> list[Abstention]:
    """Chooses abstention thresholds on all images, and measures others, chosen without each fold, on its images.

    Args:
        labels: Class indices, (n,).
        scaled: Scaled probabilities out of fold, (n, classes).
        folds: Fold of each image, (n,).
        groups: Number of the group of each image, (n,); None: images are independent.
        unit: Word for a group; empty without groups.
    """
    found, right = [], scaled.argmax(axis=1) == labels
    for wanted in WANTED_PRECISIONS:
        chosen = dataclasses.replace(choose_abstention(wanted, (labels, scaled), groups), unit=unit)
        answered = np.zeros(len(labels), bool)
        for fold in np.unique(folds):
            inside = folds == fold
            others = None if groups is None else groups[~inside]
            threshold = choose_abstention(wanted, (labels[~inside], scaled[~inside]), others).threshold
            if threshold is not None:
                answered[inside] = scaled[inside].max(axis=1) >= threshold
        found.append(chosen if chosen.threshold is None else count_answered(chosen, answered, right, groups))
    return found


def find_unfamiliar_out_of_fold(
    predicted: OutOfFold, false_alarm: float, info: ModelInfo, groups: Groups | None = None, unit: str = ""
) -> Unfamiliarity:
    """Chooses the threshold of unfamiliar images on all images, and measures others, chosen without each fold.

    Args:
        predicted: Predictions out of fold.
        false_alarm: Wanted share of images like these that are flagged.
        info: Description of the final model.
        groups: Number of the group of each image, (n,); None: images are independent.
        unit: Word for a group; empty without groups.
    """
    scores, folds = predicted.unfamiliarity, predicted.folds
    flags = np.zeros(len(scores), bool)
    for fold in np.unique(folds):
        inside = folds == fold
        others = None if groups is None else groups[~inside]
        threshold = choose_threshold(scores[~inside], false_alarm, others, unit).threshold
        flags[inside] = flag_unfamiliar(scores[inside], threshold)
    found = measure_unfamiliarity(choose_threshold(scores, false_alarm, groups, unit), scores, info, groups)
    return dataclasses.replace(
        found, flagged=int(flags.sum()), share=float(flags.mean()), share_interval=share_interval(flags, groups)
    )
