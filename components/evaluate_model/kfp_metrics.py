"""Metrics in the artifacts that KFP's user interface shows."""

from typing import Any

import numpy as np

from headstart.components.core.artifacts.evaluation import FINAL
from headstart.components.evaluate_model.evaluation_folder import Evaluation
from headstart.components.evaluate_model.ranking import roc

# The matrix is part of the executor's arguments and output, whose size is limited; the report has all classes.
_MOST_CLASSES = 100
_MOST_CURVE_POINTS = 200


def log_kfp_metrics(evaluation: Evaluation, metrics: Any, classification: Any) -> None:
    """Logs the key metrics of every model, the confusion matrix, and for two classes the ROC curve.

    Args:
        evaluation: Results of the evaluation.
        metrics: KFP `Metrics` artifact.
        classification: KFP `ClassificationMetrics` artifact.
    """
    for name, each in evaluation.metrics.items():
        metrics.log_metric(f"{name}.accuracy", each.accuracy)
        metrics.log_metric(f"{name}.accuracy_low", each.accuracy_interval[0])
        metrics.log_metric(f"{name}.accuracy_high", each.accuracy_interval[1])
        metrics.log_metric(f"{name}.balanced_accuracy", each.balanced_accuracy)
        metrics.log_metric(f"{name}.log_loss", each.log_loss)
    if evaluation.calibration:
        metrics.log_metric("test.calibration_error", evaluation.calibration.before.ece)
        metrics.log_metric("test.calibration_error_scaled", evaluation.calibration.after.ece)
    if evaluation.unfamiliarity:
        metrics.log_metric("test.unfamiliar", evaluation.unfamiliarity.share)
    predictions = evaluation.predictions
    if len(predictions.classes) <= _MOST_CLASSES:
        matrix = evaluation.metrics[FINAL].confusion_matrix
        classification.log_confusion_matrix(predictions.classes, matrix)
    if len(predictions.classes) == 2 and len(np.unique(predictions.labels)) == 2:
        curve = roc(predictions.labels == 1, predictions.probabilities[:, 1])
        every = max(1, len(curve[0]) // _MOST_CURVE_POINTS)
        classification.log_roc_curve(*([*values[:-1:every], values[-1]] for values in curve))
