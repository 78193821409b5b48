"""Figures of a classifier on a test set, from its predictions alone."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_curve,
)

from headstart.components.core.statistics import wilson


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """Figures of one class.

    Attributes:
        images: Test images that are of it.
        recall: Share of them that are found.
        recall_interval: Of the recall, at the 95 % level (Wilson).
        precision: Share right among the images said to be of it; 0 when none is.
        f1: Harmonic mean of both.
    """

    images: int
    recall: float
    recall_interval: tuple[float, float]
    precision: float
    f1: float


@dataclasses.dataclass(frozen=True)
class Figures:
    """Figures of one model on one test set.

    Attributes:
        images: Test images.
        correct: Of them right.
        accuracy: Share right.
        accuracy_interval: Of the accuracy, at the 95 % level (Wilson).
        balanced_accuracy: Mean of the recalls of the classes that are there.
        log_loss: Mean cross-entropy in nats.
        per_class: By class name.
        confusion_matrix: Rows: true class; columns: predicted class.
    """

    images: int
    correct: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    log_loss: float
    per_class: dict[str, ClassFigures]
    confusion_matrix: list[list[int]]

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
    numbers = list(range(len(classes)))
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=numbers)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=numbers, zero_division=0.0
    )
    correct = int(np.trace(matrix))
    # A zero probability of the truth would make the loss infinite; float32's resolution is what a model can say.
    bounded = np.clip(probabilities, np.finfo(np.float32).eps, 1.0)
    return Figures(
        images=len(labels),
        correct=correct,
        accuracy=correct / len(labels),
        accuracy_interval=wilson(correct, len(labels)),
        balanced_accuracy=float(recall[support > 0].mean()),
        log_loss=float(log_loss(labels, bounded / bounded.sum(axis=1, keepdims=True), labels=numbers)),
        per_class={
            name: ClassFigures(
                images=int(support[index]),
                recall=float(recall[index]),
                recall_interval=wilson(int(matrix[index, index]), int(support[index])),
                precision=float(precision[index]),
                f1=float(f1[index]),
            )
            for index, name in enumerate(classes)
        },
        confusion_matrix=matrix.tolist(),
    )


def roc(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[list[float], list[float], list[float]]:
    """False positive rates, true positive rates and thresholds for the second of two classes.

    The curve's first point has an infinite threshold in scikit-learn; no probability exceeds 1, so it says 1.
    """
    false_positive, true_positive, thresholds = roc_curve(labels, probabilities[:, 1])
    finite = np.minimum(thresholds, 1.0)
    return false_positive.tolist(), true_positive.tolist(), finite.tolist()
