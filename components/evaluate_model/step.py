"""Measures models on the test images, once each, and reports."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.dataset import read_columns, read_info
from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import fresh_folder, write_json
from headstart.components.core.history import read_history
from headstart.components.core.logs import event, start_logging
from headstart.components.core.model import read_model_info
from headstart.components.core.predictions import PREDICTIONS, write_predictions
from headstart.components.evaluate_model.figures import Figures, figures_of, roc
from headstart.components.evaluate_model.report import Candidate, render, worst_mistakes

METRICS = "metrics.json"
FORMAT = "headstart-metrics/1"
FINAL = "test"
"""Key of the final model's figures in `metrics.json`; other models stand under their stage's name."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What the component shows in KFP.

    Attributes:
        figures: By model: `test` for the final one, else the stage.
        classes: Class names.
        roc: False positive rates, true positive rates, thresholds; None unless there are two classes, both seen.
    """

    figures: dict[str, Figures]
    classes: list[str]
    roc: tuple[list[float], list[float], list[float]] | None


def evaluate_model(model: Path, others: list[Path], test: Path, evaluation: Path, report: Path) -> Evaluation:
    """Runs each model once over the test images and writes what came of it.

    Args:
        model: Model artifact of the final model.
        others: Model artifacts to show beside it: the head alone, a network trained from scratch.
        test: Dataset artifact that no training has seen.
        evaluation: Folder, made anew: `predictions.parquet` of the final model, and `metrics.json`.
        report: The HTML file to write.

    Raises:
        HeadstartError: An artifact is incomplete, or models and data have different classes.
    """
    start_logging()
    data = read_info(test)
    if not data.images:
        raise HeadstartError(f"{test} has no images; give the test split some")
    labels = read_columns(test, ["label"])["label"].to_numpy()
    fresh_folder(evaluation)

    *compared, (final, probabilities) = [_run(folder, test, labels, data.classes) for folder in (*others, model)]
    candidates = [candidate for candidate, _ in compared]
    write_predictions(evaluation / PREDICTIONS, test, probabilities)
    mistakes = worst_mistakes(test, labels, probabilities, data.classes)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(render(final, candidates, mistakes), encoding="utf-8")

    figures = {FINAL: final.figures} | {each.info.stage: each.figures for each in candidates}
    write_json(evaluation / METRICS, _metrics(figures, data.classes, data.digest))
    for name, each in figures.items():
        low, high = each.accuracy_interval
        event(
            "metrics",
            model=name,
            accuracy=each.accuracy,
            low=low,
            high=high,
            log_loss=each.log_loss,
            images=each.images,
        )
    curve = roc(labels, probabilities) if len(data.classes) == 2 and len(np.unique(labels)) == 2 else None
    return Evaluation(figures, data.classes, curve)


def _run(
    folder: Path, test: Path, labels: NDArray[np.int64], classes: list[str]
) -> tuple[Candidate, NDArray[np.float64]]:
    info = read_model_info(folder)
    if info.classes != classes:
        raise HeadstartError(f"model {folder} has classes {info.classes}, the test images {classes}; pass a pair")

    from headstart.components.core.network.artifact import load_model
    from headstart.components.core.network.predict import predict

    probabilities = predict(load_model(folder), test, f"evaluate {info.stage}")
    return Candidate(info, read_history(folder), figures_of(labels, probabilities, classes)), probabilities


def _metrics(figures: dict[str, Figures], classes: list[str], digest: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "classes": classes,
        "test_data": digest,
        **{name: each.as_json() for name, each in figures.items()},
    }
