"""Figures into the artifacts that KFP's user interface draws."""

from typing import Any

import numpy as np

from headstart.components.core.artifacts.evaluation import FINAL
from headstart.components.evaluate_model.assembly import Evaluation
from headstart.components.evaluate_model.ranking import roc

# The matrix travels inside the executor's arguments and output, which have size limits; the report has them all.
_MOST_CLASSES = 100
_MOST_CURVE_POINTS = 200


def show(evaluation: Evaluation, metrics: Any, classification: Any) -> None:
    """Logs the key figures of every model, the confusion matrix, and the ROC curve of two classes.

    Args:
        evaluation: What was measured.
        metrics: A KFP `Metrics` artifact.
        classification: A KFP `ClassificationMetrics` artifact.
    """
    for name, figures in evaluation.figures.items():
        metrics.log_metric(f"{name}.accuracy", figures.accuracy)
        metrics.log_metric(f"{name}.accuracy_low", figures.accuracy_interval[0])
        metrics.log_metric(f"{name}.accuracy_high", figures.accuracy_interval[1])
        metrics.log_metric(f"{name}.balanced_accuracy", figures.balanced_accuracy)
        metrics.log_metric(f"{name}.log_loss", figures.log_loss)
    if evaluation.calibration:
        metrics.log_metric("test.calibration_error", evaluation.calibration.before.ece)
        metrics.log_metric("test.calibration_error_scaled", evaluation.calibration.after.ece)
    predictions = evaluation.predictions
    if len(predictions.classes) <= _MOST_CLASSES:
        matrix = evaluation.figures[FINAL].confusion_matrix
        classification.log_confusion_matrix(predictions.classes, matrix)
    if len(predictions.classes) == 2 and len(np.unique(predictions.labels)) == 2:
        curve = roc(predictions.labels == 1, predictions.probabilities[:, 1])
        every = max(1, len(curve[0]) // _MOST_CURVE_POINTS)
        classification.log_roc_curve(*([*values[:-1:every], values[-1]] for values in curve))
