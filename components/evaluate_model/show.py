"""Figures into the artifacts that KFP's user interface draws."""

from typing import Any

from headstart.components.evaluate_model.step import FINAL, Evaluation

# The matrix travels inside the executor's arguments and output, which have size limits; the report has them all.
_MOST_CLASSES = 100
_MOST_CURVE_POINTS = 200


def show(evaluation: Evaluation, metrics: Any, classification: Any) -> None:
    """Logs accuracy and log loss of every model, the confusion matrix, and the ROC curve of two classes.

    Args:
        evaluation: What was measured.
        metrics: A KFP `Metrics` artifact.
        classification: A KFP `ClassificationMetrics` artifact.
    """
    for name, figures in evaluation.figures.items():
        metrics.log_metric(f"{name}.accuracy", figures.accuracy)
        metrics.log_metric(f"{name}.log_loss", figures.log_loss)
    if len(evaluation.classes) <= _MOST_CLASSES:
        matrix = evaluation.figures[FINAL].confusion_matrix
        classification.log_confusion_matrix(evaluation.classes, matrix)
    if evaluation.roc:
        every = max(1, len(evaluation.roc[0]) // _MOST_CURVE_POINTS)
        thinned = [[*values[:-1:every], values[-1]] for values in evaluation.roc]
        classification.log_roc_curve(*thinned)
