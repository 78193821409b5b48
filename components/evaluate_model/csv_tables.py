"""Data of the report's figures and tables as CSV, which the page holds as `data:` URLs."""

import base64
import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.probe import LearningCurve
from headstart.components.core.util.spreadsheet import escape_cell
from headstart.components.evaluate_model.class_balance import ClassBalance
from headstart.components.evaluate_model.image_browser import MapPoint
from headstart.components.evaluate_model.ranking import precision_recall, roc
from headstart.components.evaluate_model.thresholds import ClassThresholds

_CURVE_POINTS, _EVERY_STEP = 200, 4
_ENDS = ("", "_low", "_high")


def to_csv_url(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Writes a table as a `data:` URL of CSV; text that a spreadsheet would run as a formula is escaped."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([escape_cell(cell) if isinstance(cell, str) else cell for cell in row])
    # A name of a file may hold bytes that are not UTF-8.
    content = table.getvalue().encode("utf-8", errors="surrogateescape")
    return "data:text/csv;base64," + base64.b64encode(content).decode()


def metrics_tables(metrics: dict[str, Any], models: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Tables of `metrics.json`, as `data:` URLs by name.

    Args:
        metrics: Content of `metrics.json`.
        models: Title and key of each model, in the order of the report.
    """
    final, classes = metrics["test"], metrics["classes"]
    figures = ("accuracy", "balanced_accuracy", "log_loss")
    averages = ("f1", "roc_auc", "average_precision")
    tables = {
        "models": to_csv_url(
            [
                "model",
                *(f"{name}{end}" for name in figures for end in _ENDS),
                *(f"macro_{name}{end}" for name in averages for end in _ENDS),
            ],
            (
                [title, *_with_intervals(metrics[key], figures), *_with_intervals(metrics[key]["macro"], averages)]
                for title, key in models
            ),
        ),
        "confusion_matrix": to_csv_url(
            ["true \\ predicted", *classes],
            ([name, *row] for name, row in _named(classes, final["confusion_matrix"])),
        ),
        "confusions": to_csv_url(
            ["class", "predicted_as", "images", "share", "share_low", "share_high"],
            (
                [each["label"], each["predicted"], each["images"], each["share"], *each["share_interval"]]
                for each in final["confusions"]
            ),
        ),
        "per_class": to_csv_url(
            [
                *("class", "images"),
                *(f"{name}{end}" for name in ("recall", "precision") for end in _ENDS),
                *("f1", "roc_auc", "average_precision"),
            ],
            (
                [
                    name,
                    each["images"],
                    *_with_intervals(each, ("recall", "precision")),
                    *(each[key] for key in ("f1", "roc_auc", "average_precision")),
                ]
                for name, each in ((name, final["per_class"][name]) for name in classes)
            ),
        ),
        "slices": to_csv_url(
            ["column", "value", "images", "accuracy", "accuracy_low", "accuracy_high"],
            (
                [each["column"], each["value"], each["images"], each["accuracy"], *each["accuracy_interval"]]
                for each in metrics["slices"]
            ),
        ),
    }
    if metrics["calibration"]:
        tables["reliability"] = to_csv_url(
            ["probabilities", "confidence", "accuracy", "accuracy_low", "accuracy_high", "images"],
            (
                [
                    name,
                    *(each["confidence"], each["accuracy"]),
                    # Earlier versions wrote no intervals.
                    *(each.get("accuracy_interval") or ("", "")),
                    each["images"],
                ]
                for name, key in (("uncalibrated", "before"), ("calibrated", "after"))
                for each in metrics["calibration"][key]["bins"]
                if each["images"]
            ),
        )
    return tables


def training_table(phases: dict[str, list[Epoch]]) -> str:
    """Training curves of all phases, one row for each epoch."""
    keys = ("epoch", "seconds", "learning_rate", "loss", "accuracy", "validation_loss", "validation_accuracy")
    rows = ([title, *(getattr(epoch, key) for key in keys)] for title, epochs in phases.items() for epoch in epochs)
    return to_csv_url(["phase", *keys], rows)


def ranking_table(predictions: Predictions, names: Sequence[str]) -> str:
    """ROC and precision-recall curves of some classes, with at most some 200 points each."""
    rows = []
    for name in names:
        at = predictions.classes.index(name)
        given = (predictions.labels == at, predictions.probabilities[:, at])
        for curve, (x, y, thresholds) in (("roc", roc(*given)), ("precision_recall", precision_recall(*given))):
            every = max(1, len(x) // _CURVE_POINTS)
            for place in [*range(0, len(x) - 1, every), len(x) - 1]:
                threshold = thresholds[place] if place < len(thresholds) else ""
                rows.append([name, curve, x[place], y[place], threshold])
    header = ["class", "curve", "false_positive_rate or recall", "true_positive_rate or precision", "threshold"]
    return to_csv_url(header, rows)


def histogram_table(bins: Sequence[tuple[float, float, int, int]]) -> str:
    """Confidence histogram."""
    return to_csv_url(["from", "to", "correct", "wrong"], bins)


def thresholds_table(slider: Sequence[tuple[float, int, int, float]], classes: Sequence[ClassThresholds]) -> str:
    """Coverage and precision at thresholds 0.02 apart, for all images and for each predicted class."""
    rows: list[list[Any]] = [["(all)", *step] for step in slider[::_EVERY_STEP]]
    for each in classes:
        every = list(zip(slider, each.steps, strict=True))[::_EVERY_STEP]
        rows += [[each.name, step[0], *values] for step, values in every]
    header = ["predicted_class", "threshold", "predicted", "correct", "precision_at_least"]
    return to_csv_url(header, rows)


def map_table(points: Sequence[MapPoint], classes: Sequence[str]) -> str:
    """Feature map: place, class and prediction of each image."""
    rows = (
        [each.path, classes[each.label], classes[each.predicted], round(each.confidence, 5), each.x, each.y]
        for each in points
    )
    return to_csv_url(["path", "class", "predicted", "confidence", "x", "y"], rows)


def balance_table(balance: ClassBalance) -> str:
    """Images of each class in each split."""
    return to_csv_url(["class", *balance.splits], ([name, *counts] for name, counts in balance.rows))


def learning_table(curve: LearningCurve) -> str:
    """Learning curve."""
    rows = ([point.images, point.accuracy, *point.band] for point in curve.points)
    return to_csv_url(["training_images", "accuracy", "low", "high"], rows)


def _with_intervals(figures: dict[str, Any], names: Iterable[str]) -> list[Any]:
    return [value for name in names for value in (figures[name], *(figures[f"{name}_interval"] or ("", "")))]


def _named(names: Sequence[str], rows: Sequence[Sequence[int]]) -> Iterable[tuple[str, Sequence[int]]]:
    return zip(names, rows, strict=True)
