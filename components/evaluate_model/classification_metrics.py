"""Figures of a classifier on a test set, from its predictions alone."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from headstart.components.core.metrics.statistics import (
    Interval,
    choose_resample_count,
    cross_entropies,
    draw_resamples,
    mean_of_proportions,
    percentile_interval,
    wilson_interval,
)
from headstart.components.evaluate_model.ranking import ranking_figures

SEED = 0
"""Of every resample."""


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """Figures of one class; each interval is at the 95 % level, None where the figure does not exist.

    Attributes:
        images: Test images that are of it.
        predicted: Test images that are said to be of it.
        recall: Share found of those that are of it; 0 when there are none.
        recall_interval: Wilson.
        precision: Share right of those said to be of it; 0 when there are none.
        precision_interval: Wilson.
        f1: Harmonic mean of both.
        f1_interval: Bootstrap.
        roc_auc: Area under its ROC curve against the rest; None unless there are images of both.
        roc_auc_interval: Bootstrap.
        average_precision: Area under its precision-recall curve, likewise.
        average_precision_interval: Bootstrap.
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
class Average:
    """Figures averaged over the classes that have images; intervals from the bootstrap, at the 95 % level."""

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
    """Images of one class that are taken for another.

    Attributes:
        label: Their class.
        predicted: What they are taken for.
        images: How many.
        share: Of the class.
        share_interval: Wilson, at the 95 % level.
    """

    label: str
    predicted: str
    images: int
    share: float
    share_interval: Interval


@dataclasses.dataclass(frozen=True)
class Figures:
    """Figures of one model on one test set.

    Attributes:
        images: Test images.
        correct: Of them right.
        accuracy: Share right.
        accuracy_interval: Wilson, at the 95 % level, like all intervals here.
        balanced_accuracy: Mean of the recalls of the classes that are there.
        balanced_accuracy_interval: From the recalls' Wilson intervals: see `mean_of_proportions`.
        log_loss: Mean cross-entropy in nats.
        log_loss_interval: Bootstrap.
        macro: Averages in which each class counts alike.
        weighted: Averages in which each class counts by its images.
        per_class: By class name.
        confusion_matrix: Rows: true class; columns: predicted class.
        confusions: Its cells off the diagonal that are not 0, the largest first.
        resamples: Of each bootstrap.
    """

    images: int
    correct: int
    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    balanced_accuracy_interval: Interval
    log_loss: float
    log_loss_interval: Interval
    macro: Average
    weighted: Average
    per_class: dict[str, ClassFigures]
    confusion_matrix: list[list[int]]
    confusions: list[Confusion]
    resamples: int

    def as_json(self) -> dict[str, Any]:
        """The figures as plain values."""
        return dataclasses.asdict(self)


def figures_of(labels: NDArray[np.int64], probabilities: NDArray[np.float64], classes: list[str]) -> Figures:
    """Computes them.

    Args:
        labels: (n,), n at least 1, indices into `classes`.
        probabilities: (n, classes).
        classes: Class names.
    """
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=list(range(len(classes))))
    correct, images = int(np.trace(matrix)), len(labels)
    support, said, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    there = support > 0
    resamples = choose_resample_count(probabilities.size)

    loss = cross_entropies(labels, probabilities)
    tables, mean_losses = _resampled(labels, predicted, loss, len(classes), resamples)
    areas, precisions = ranking_figures(labels, probabilities, SEED, resamples)
    per_class = {
        "recall": _recall(*tables),
        "precision": _precision(*tables),
        "f1": _f1(*tables),
        "roc_auc": areas,
        "average_precision": precisions,
    }
    weights = {"macro": np.ones_like(tables[0]), "weighted": tables[0]}
    return Figures(
        images=images,
        correct=correct,
        accuracy=correct / images,
        accuracy_interval=wilson_interval(correct, images),
        balanced_accuracy=float((right[there] / support[there]).mean()),
        balanced_accuracy_interval=mean_of_proportions(right[there].tolist(), support[there].tolist()),
        log_loss=float(loss.mean()),
        log_loss_interval=percentile_interval(np.r_[loss.mean(), mean_losses]),
        macro=_average(per_class, weights["macro"], tables[0]),
        weighted=_average(per_class, weights["weighted"], tables[0]),
        per_class={
            name: ClassFigures(
                images=int(support[index]),
                predicted=int(said[index]),
                recall=float(per_class["recall"][0, index]),
                recall_interval=wilson_interval(int(right[index]), int(support[index])),
                precision=float(per_class["precision"][0, index]),
                precision_interval=wilson_interval(int(right[index]), int(said[index])),
                **_estimates({key: per_class[key][:, index] for key in ("f1", "roc_auc", "average_precision")}),
            )
            for index, name in enumerate(classes)
        },
        confusion_matrix=matrix.tolist(),
        confusions=_confusions(matrix, classes),
        resamples=resamples,
    )


_Tables = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _resampled(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    loss: NDArray[np.float64],
    classes: int,
    resamples: int,
) -> tuple[_Tables, NDArray[np.float64]]:
    """Images of each class, images said to be of it, and those right, each (1 + resamples, classes); mean losses."""
    images = len(labels)
    tables = np.empty((3, 1 + resamples, classes))
    means = np.empty(resamples)
    hits = np.flatnonzero(labels == predicted)

    def fill(row: int, weights: NDArray[np.int64]) -> None:
        tables[0, row] = np.bincount(labels, weights, classes)
        tables[1, row] = np.bincount(predicted, weights, classes)
        tables[2, row] = np.bincount(labels[hits], weights[hits], classes)

    fill(0, np.ones(images, np.int64))
    for row, weights in enumerate(draw_resamples(images, SEED, resamples)):
        fill(row + 1, weights)
        means[row] = weights @ loss / images
    return (tables[0], tables[1], tables[2]), means


def _recall(support: NDArray[np.float64], said: NDArray[np.float64], right: NDArray[np.float64]) -> Any:
    return right / np.maximum(1, support)


def _precision(support: NDArray[np.float64], said: NDArray[np.float64], right: NDArray[np.float64]) -> Any:
    return right / np.maximum(1, said)


def _f1(support: NDArray[np.float64], said: NDArray[np.float64], right: NDArray[np.float64]) -> Any:
    return 2 * right / np.maximum(1, support + said)


def _average(
    per_class: dict[str, NDArray[np.float64]], weights: NDArray[np.float64], support: NDArray[np.float64]
) -> Average:
    """Weighted means over the classes that are there and have the figure, for all images and for each resample."""
    means = {}
    for key, values in per_class.items():
        counted = np.where((support > 0) & ~np.isnan(values), weights, 0.0)
        total = counted.sum(axis=1)
        sums = (counted * np.nan_to_num(values)).sum(axis=1)
        means[key] = np.where(total > 0, sums / np.maximum(total, 1), np.nan)
    return Average(**_estimates(means))


def _estimates(samples: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """A value and an interval for each figure, from (1 + resamples,) values of it, that of all images first."""
    estimates: dict[str, Any] = {}
    for key, values in samples.items():
        exists = not np.isnan(values[0])
        estimates[key] = float(values[0]) if exists else None
        estimates[f"{key}_interval"] = percentile_interval(values) if exists else None
    return estimates


def _confusions(matrix: NDArray[np.int64], classes: list[str]) -> list[Confusion]:
    support = matrix.sum(axis=1)
    cells = [(int(matrix[row, column]), int(row), int(column)) for row, column in np.argwhere(matrix)]
    return [
        Confusion(
            classes[row],
            classes[column],
            images,
            images / int(support[row]),
            wilson_interval(images, int(support[row])),
        )
        for images, row, column in sorted(cells, key=lambda cell: (-cell[0], cell[1:]))
        if row != column
    ]
