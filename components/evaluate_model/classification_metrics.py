"""Classification metrics of a model on a test set, from its predictions alone."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from headstart.components.core.metrics.clusters import (
    count_effective_images,
    korn_graubard_interval,
    mean_share_interval,
    share_interval,
)
from headstart.components.core.metrics.statistics import (
    CONFIDENCE_LEVEL,
    Groups,
    Interval,
    choose_resample_count,
    cross_entropies,
    draw_resamples,
    mean_of_proportions,
    percentile_interval,
    resampling_level,
    wilson_interval,
)
from headstart.components.evaluate_model.ranking import compute_ranking_metrics

BOOTSTRAP_SEED = 0
"""Random seed of all bootstrap resamples of an evaluation."""


@dataclasses.dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class; intervals are at the 95 % level, and None where the metric does not exist.

    Attributes:
        images: Number of test images of the class.
        predicted: Number of test images predicted as the class.
        recall: Share of the images of the class that are predicted as it; 0 without such images.
        recall_interval: Wilson interval, or with groups that of Korn and Graubard.
        precision: Share of the images predicted as the class that are of it; 0 without such images.
        precision_interval: Likewise.
        f1: Harmonic mean of precision and recall.
        f1_interval: Bootstrap interval.
        roc_auc: Area under the ROC curve of the class against the rest; None unless both have images.
        roc_auc_interval: Bootstrap interval.
        average_precision: Area under the precision-recall curve, likewise.
        average_precision_interval: Bootstrap interval.
    """

    images: int
    predicted: int
    recall: float
    recall_interval: Interval
    precision: float
    precision_interval: Interval
    f1: float
    f1_interval: Interval
    roc_auc: float | None
    roc_auc_interval: Interval | None
    average_precision: float | None
    average_precision_interval: Interval | None


@dataclasses.dataclass(frozen=True)
class AverageMetrics:
    """Metrics averaged over the classes that have images; intervals at the 95 % level.

    Those of the recall are those of the same figures under their other names: macro recall is the balanced accuracy,
    weighted recall the accuracy. The others are bootstrap intervals.
    """

    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    f1: float
    f1_interval: Interval
    roc_auc: float | None
    roc_auc_interval: Interval | None
    average_precision: float | None
    average_precision_interval: Interval | None


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Images of one class that are predicted as another.

    Attributes:
        label: Class of the images.
        predicted: Predicted class.
        images: Number of images.
        share: Share of the images of the class.
        share_interval: Interval at the 95 % level, as of the recall.
    """

    label: str
    predicted: str
    images: int
    share: float
    share_interval: Interval


@dataclasses.dataclass(frozen=True)
class ModelMetrics:
    """Metrics of one model on one test set; intervals are at the 95 % level.

    Where the user names groups, such as patients, the intervals of shares are those of Korn and Graubard, and
    bootstrap intervals are of resampled groups.

    Attributes:
        images: Number of test images.
        correct: Number of correct predictions.
        accuracy: Share of correct predictions.
        accuracy_interval: Wilson interval, or with groups that of Korn and Graubard.
        balanced_accuracy: Mean recall of the classes that have test images.
        balanced_accuracy_interval: Interval from the Wilson intervals of the recalls, see `mean_of_proportions`, or
            with groups that of `mean_share_interval`.
        log_loss: Mean cross-entropy in nats.
        log_loss_interval: Bootstrap interval.
        macro: Averages in which each class counts equally.
        weighted: Averages in which each class counts by its images.
        per_class: Metrics by class name.
        confusion_matrix: Numbers of images; rows are true classes, columns predicted ones.
        confusions: Cells of the matrix off the diagonal that are not 0, the largest first.
        resamples: Number of bootstrap resamples.
        groups: Number of groups of the test images, where the user names groups; None: images count as independent.
        effective_images: Number of independent images whose accuracy would vary as much; None: likewise.
    """

    images: int
    correct: int
    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    balanced_accuracy_interval: Interval
    log_loss: float
    log_loss_interval: Interval
    macro: AverageMetrics
    weighted: AverageMetrics
    per_class: dict[str, ClassMetrics]
    confusion_matrix: list[list[int]]
    confusions: list[Confusion]
    resamples: int
    groups: int | None = None
    effective_images: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The metrics as plain values."""
        return dataclasses.asdict(self)


def compute_metrics(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    classes: list[str],
    groups: Groups | None = None,
) -> ModelMetrics:
    """Computes all metrics of one model on one test set.

    Args:
        labels: Indices into `classes`, (n,), n at least 1.
        probabilities: Probabilities, (n, classes).
        classes: Class names.
        groups: Number of the group of each image, (n,); None: images are independent.
    """
    predicted = probabilities.argmax(axis=1)
    hits = labels == predicted
    matrix = confusion_matrix(labels, predicted, labels=list(range(len(classes))))
    correct, images = int(np.trace(matrix)), len(labels)
    support, predictions, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    present = support > 0
    resamples = choose_resample_count(probabilities.size)
    inside = resampling_level(CONFIDENCE_LEVEL, groups)

    loss = cross_entropies(labels, probabilities)
    tables, mean_losses = _resampled(labels, predicted, loss, len(classes), resamples, groups)
    areas, precisions = compute_ranking_metrics(labels, probabilities, BOOTSTRAP_SEED, resamples, groups)
    per_class = {
        "recall": _recall(*tables),
        "precision": _precision(*tables),
        "f1": _f1(*tables),
        "roc_auc": areas,
        "average_precision": precisions,
    }
    accuracy_interval = share_interval(hits, groups)
    balanced_interval = (
        mean_of_proportions(right[present].tolist(), support[present].tolist())
        if groups is None
        else mean_share_interval(hits, labels, groups)
    )
    # Macro recall is the balanced accuracy, and weighted recall the accuracy: one figure has one interval.
    macro, weighted = (
        dataclasses.replace(_average(per_class, weights, tables[0], inside), recall_interval=interval)
        for weights, interval in ((np.ones_like(tables[0]), balanced_interval), (tables[0], accuracy_interval))
    )
    return ModelMetrics(
        images=images,
        correct=correct,
        accuracy=correct / images,
        accuracy_interval=accuracy_interval,
        balanced_accuracy=float((right[present] / support[present]).mean()),
        balanced_accuracy_interval=balanced_interval,
        log_loss=float(loss.mean()),
        log_loss_interval=percentile_interval(np.r_[loss.mean(), mean_losses], inside),
        macro=macro,
        weighted=weighted,
        per_class={
            name: ClassMetrics(
                images=int(support[index]),
                predicted=int(predictions[index]),
                recall=float(per_class["recall"][0, index]),
                recall_interval=_share_interval(hits, labels == index, groups),
                precision=float(per_class["precision"][0, index]),
                precision_interval=_share_interval(hits, predicted == index, groups),
                **_estimates(
                    {key: per_class[key][:, index] for key in ("f1", "roc_auc", "average_precision")}, inside
                ),
            )
            for index, name in enumerate(classes)
        },
        confusion_matrix=matrix.tolist(),
        confusions=_confusions(matrix, labels, predicted, classes, groups),
        resamples=resamples,
        groups=None if groups is None else len(np.unique(groups)),
        effective_images=None if groups is None else count_effective_images(hits, groups),
    )


def _share_interval(hits: NDArray[np.bool_], rows: NDArray[np.bool_], groups: Groups | None) -> Interval:
    """Interval of the share of hits among some of the images."""
    return share_interval(hits[rows], None if groups is None else groups[rows])


_Tables = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _resampled(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    loss: NDArray[np.float64],
    classes: int,
    resamples: int,
    groups: Groups | None,
) -> tuple[_Tables, NDArray[np.float64]]:
    """Images of each class, predictions of it, and correct ones, each (1 + resamples, classes); mean losses."""
    images = len(labels)
    tables = np.empty((3, 1 + resamples, classes))
    means = np.empty(resamples)
    hits = np.flatnonzero(labels == predicted)

    def fill(row: int, weights: NDArray[np.int64]) -> None:
        tables[0, row] = np.bincount(labels, weights, classes)
        tables[1, row] = np.bincount(predicted, weights, classes)
        tables[2, row] = np.bincount(labels[hits], weights[hits], classes)

    fill(0, np.ones(images, np.int64))
    for row, weights in enumerate(draw_resamples(images, BOOTSTRAP_SEED, resamples, groups)):
        fill(row + 1, weights)
        means[row] = weights @ loss / weights.sum()
    return (tables[0], tables[1], tables[2]), means


def _recall(support: NDArray[np.float64], predicted: NDArray[np.float64], right: NDArray[np.float64]) -> Any:
    return right / np.maximum(1, support)


def _precision(support: NDArray[np.float64], predicted: NDArray[np.float64], right: NDArray[np.float64]) -> Any:
    return right / np.maximum(1, predicted)


def _f1(support: NDArray[np.float64], predicted: NDArray[np.float64], right: NDArray[np.float64]) -> Any:
    return 2 * right / np.maximum(1, support + predicted)


def _average(
    per_class: dict[str, NDArray[np.float64]],
    weights: NDArray[np.float64],
    support: NDArray[np.float64],
    inside: float,
) -> AverageMetrics:
    """Weighted means over the classes that have images and the metric, for all images and for each resample."""
    means = {}
    for key, values in per_class.items():
        counted = np.where((support > 0) & ~np.isnan(values), weights, 0.0)
        total = counted.sum(axis=1)
        sums = (counted * np.nan_to_num(values)).sum(axis=1)
        means[key] = np.where(total > 0, sums / np.maximum(total, 1), np.nan)
    return AverageMetrics(**_estimates(means, inside))


def _estimates(samples: dict[str, NDArray[np.float64]], inside: float) -> dict[str, Any]:
    """Value and interval of each metric, from its values on all images and each resample, (1 + resamples,).

    The interval holds the share `inside` of the resamples.
    """
    estimates: dict[str, Any] = {}
    for key, values in samples.items():
        exists = not np.isnan(values[0])
        estimates[key] = float(values[0]) if exists else None
        estimates[f"{key}_interval"] = percentile_interval(values, inside) if exists else None
    return estimates


def _confusions(
    matrix: NDArray[np.int64],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    classes: list[str],
    groups: Groups | None,
) -> list[Confusion]:
    support = matrix.sum(axis=1)
    cells = [(int(matrix[row, column]), int(row), int(column)) for row, column in np.argwhere(matrix)]
    rows_of = {} if groups is None else {row: np.flatnonzero(labels == row) for _, row, _ in cells}

    def interval(images: int, row: int, column: int) -> Interval:
        if groups is None:
            return wilson_interval(images, int(support[row]))
        return korn_graubard_interval(predicted[rows_of[row]] == column, groups[rows_of[row]])

    return [
        Confusion(classes[row], classes[column], images, images / int(support[row]), interval(images, row, column))
        for images, row, column in sorted(cells, key=lambda cell: (-cell[0], cell[1:]))
        if row != column
    ]
