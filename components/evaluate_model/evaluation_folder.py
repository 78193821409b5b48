"""Metrics computed from the predictions of models, and the folder that they are written to; no network is run."""

import csv
import dataclasses
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.cross_validation import OutOfFold
from headstart.components.core.artifacts.evaluation import (
    CHAMPION,
    FINAL,
    METRICS,
    METRICS_FORMAT,
    MODELS,
    RUN,
    THUMBNAILS,
    EvaluationRun,
)
from headstart.components.core.artifacts.history import Epoch, average_steps
from headstart.components.core.artifacts.hygiene import HYGIENE
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.model_calibration import ModelCalibration
from headstart.components.core.artifacts.predictions import (
    CHAMPION_PREDICTIONS,
    FINAL_MODEL_PREDICTIONS,
    PREDICTIONS,
    VALIDATION,
    Predictions,
    write_predictions,
)
from headstart.components.core.artifacts.probe import (
    LABEL_ERRORS,
    LEARNING_CURVE,
    SUSPECTED_FROM,
    SUSPECTS,
    read_learning_curve,
)
from headstart.components.core.artifacts.selection import Selection
from headstart.components.core.artifacts.thumbnails import Thumbnail, read_thumbnails, write_thumbnails
from headstart.components.core.metrics.calibration import TemperatureEstimate, apply_temperature
from headstart.components.core.metrics.clusters import share_interval
from headstart.components.core.metrics.comparison import Comparison, compare_predictions
from headstart.components.core.metrics.false_alarms import FALSE_ALARM
from headstart.components.core.metrics.slices import Slice, find_slices
from headstart.components.core.metrics.statistics import Groups, Interval, widen_for_folds
from headstart.components.core.metrics.unfamiliarity import choose_threshold
from headstart.components.core.reports.training_words import describe_training
from headstart.components.core.storage.atomic import complete_folder, make_empty_folder, write_json
from headstart.components.evaluate_model.classification_metrics import BOOTSTRAP_SEED, ModelMetrics, compute_metrics
from headstart.components.evaluate_model.cross_validation import (
    CrossValidation,
    calibrate_out_of_fold,
    compute_abstentions_out_of_fold,
    describe_cross_validation,
    find_unfamiliar_out_of_fold,
    widen_intervals,
)
from headstart.components.evaluate_model.feature_map import FeatureMap, write_feature_map
from headstart.components.evaluate_model.reliability import (
    Abstention,
    Calibration,
    calibrate,
    compute_abstentions,
    measure_abstention,
    measure_calibration,
)
from headstart.components.evaluate_model.unfamiliar_images import Unfamiliarity, measure_unfamiliarity

_CURVE_POINTS = 150
"""Points of the training curve of a phase, unless it has more epochs; the model's `history.csv` has every step."""


@dataclasses.dataclass(frozen=True)
class EvaluatedModel:
    """A model and its predictions for the test images.

    Attributes:
        info: Content of its `model.json`.
        epochs: History of its training.
        predictions: Its predictions for the test images.
    """

    info: ModelInfo
    epochs: list[Epoch]
    predictions: Predictions


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """Everything that an evaluation is computed from.

    Attributes:
        models: Models by name: `FINAL`, `CHAMPION` for the champion if there is one, others by their phase.
        test_data: Digest of the test set.
        validation: Predictions of the final model for the validation images; None without such images.
        validation_data: Digest of the validation set; None without such images.
        calibration: Calibration of the final model that is applied where there are no validation images; None: none.
        selection: Images of the data that the test set leaves out; None: nothing was selected.
        pictures: Example test images for the report.
        probe: Folder of the label errors and the learning curve in the head's artifact; None if there is none.
        hygiene: Path of the data's `hygiene.json`; None if there is none.
        command: Command that started the run.
        run: Date and run of the evaluation.
        feature_map: Places of test images by the final model's features; None without them.
        false_alarm: Wanted share of images like the validation images that are flagged as unfamiliar.
        out_of_fold: Predictions out of fold for the test images, of which those of the final model in `models` are;
            None: it was not cross-validated.
        final_model: Predictions of the cross-validated model itself; None: it was not cross-validated.
    """

    models: dict[str, EvaluatedModel]
    test_data: str
    validation: Predictions | None = None
    validation_data: str | None = None
    calibration: ModelCalibration | None = None
    selection: Selection | None = None
    pictures: Sequence[Thumbnail] = ()
    probe: Path | None = None
    hygiene: Path | None = None
    command: str = ""
    run: EvaluationRun = dataclasses.field(default_factory=EvaluationRun)
    feature_map: FeatureMap | None = None
    false_alarm: float = FALSE_ALARM
    out_of_fold: OutOfFold | None = None
    final_model: Predictions | None = None


@dataclasses.dataclass(frozen=True)
class SliceMetrics:
    """Accuracy on a slice of the test images.

    Attributes:
        column: Extra column of the data that defines the slice.
        value: Value of the column.
        images: Number of test images in the slice.
        accuracy: Share of correct predictions.
        accuracy_interval: Wilson interval at the 95 % level, or with groups that of Korn and Graubard.
    """

    column: str
    value: str
    images: int
    accuracy: float
    accuracy_interval: Interval


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All results of an evaluation.

    Attributes:
        metrics: Metrics by model: `test` for the final one, `champion` for the champion, else the phase.
        calibration: Calibration of the final model; None without validation images.
        abstention: Abstention thresholds for the final model's calibrated probabilities; empty without validation
            images.
        unfamiliarity: Threshold of unfamiliar images; None without validation images or reference features.
        slices: Metrics of the slices that the data's extra columns define.
        comparison: Comparison of the final model with the champion; None without a champion.
        predictions: Predictions of the final model for the test images.
        cross_validation: Folds of which the predictions are; None: it was not cross-validated.
    """

    metrics: dict[str, ModelMetrics]
    calibration: Calibration | None
    abstention: list[Abstention]
    unfamiliarity: Unfamiliarity | None
    slices: list[SliceMetrics]
    comparison: Comparison | None
    predictions: Predictions
    cross_validation: CrossValidation | None = None


def write_evaluation(data: EvaluationData, evaluation: Path) -> Evaluation:
    """Computes all metrics and writes them with everything that the report is made of.

    Args:
        data: Models and their predictions.
        evaluation: Folder to write, emptied first; `metrics.json` is written last.
    """
    make_empty_folder(evaluation)
    result = _evaluate(data)
    pictures = list(data.pictures)
    write_predictions(evaluation / PREDICTIONS, data.models[FINAL].predictions)
    if CHAMPION in data.models:
        write_predictions(evaluation / CHAMPION_PREDICTIONS, data.models[CHAMPION].predictions)
    if data.validation:
        write_predictions(evaluation / VALIDATION, data.validation)
    if data.final_model:
        write_predictions(evaluation / FINAL_MODEL_PREDICTIONS, data.final_model)
    if data.probe:
        for name in (LABEL_ERRORS, LEARNING_CURVE):
            shutil.copyfile(data.probe / name, evaluation / name)
        pictures += read_thumbnails(data.probe / SUSPECTS)
    if data.hygiene:
        shutil.copyfile(data.hygiene, evaluation / HYGIENE)
    write_thumbnails(evaluation / THUMBNAILS, pictures)
    if data.feature_map:
        write_feature_map(evaluation, data.feature_map)
    models = {name: _model_json(each) for name, each in data.models.items()}
    write_json(evaluation / MODELS, {"command": data.command, "models": models})
    write_json(evaluation / RUN, dataclasses.asdict(data.run))
    complete_folder(evaluation, METRICS, _metrics_json(result, data))
    return result


def _evaluate(data: EvaluationData) -> Evaluation:
    models, validation = data.models, data.validation
    final = models[FINAL].predictions
    groups = final.clusters
    metrics = {
        name: compute_metrics(each.predictions.labels, each.predictions.probabilities, final.classes, groups)
        for name, each in models.items()
    }
    calibration: Calibration | None = None
    abstention: list[Abstention] = []
    if data.calibration:
        calibration, abstention = _apply(data.calibration, final)
    if validation:
        calibration = calibrate(
            (validation.labels, validation.probabilities),
            (final.labels, final.probabilities),
            groups,
            validation.clusters,
        )
        scale = functools.partial(apply_temperature, temperature=calibration.temperature)
        abstention = compute_abstentions(
            (validation.labels, scale(validation.probabilities)),
            (final.labels, scale(final.probabilities)),
            groups,
            validation.clusters,
            validation.grouping,
        )
    unfamiliarity, folds = _find_unfamiliar(data), None
    if data.out_of_fold:
        calibration, scaled = calibrate_out_of_fold(final.labels, data.out_of_fold, groups)
        abstention = compute_abstentions_out_of_fold(
            final.labels, scaled, data.out_of_fold.folds, groups, final.grouping
        )
        unfamiliarity = find_unfamiliar_out_of_fold(
            data.out_of_fold, data.false_alarm, models[FINAL].info, groups, final.grouping
        )
        folds = describe_cross_validation(final.labels, data.out_of_fold)
        metrics = {name: widen_intervals(each, folds.folds) for name, each in metrics.items()}
    champion = models.get(CHAMPION)
    return Evaluation(
        metrics,
        calibration,
        abstention,
        unfamiliarity,
        [_slice_metrics(part, final.right, groups, folds.folds if folds else 0) for part in find_slices(final)],
        compare_predictions(final, champion.predictions) if champion else None,
        final,
        folds,
    )


def _find_unfamiliar(data: EvaluationData) -> Unfamiliarity | None:
    """Chooses the threshold on validation images, or takes the model's own, and measures it on the test images."""
    final, validation = data.models[FINAL], data.validation
    chosen = data.calibration.unfamiliarity if data.calibration else None
    if validation and validation.unfamiliarity is not None:
        chosen = choose_threshold(
            validation.unfamiliarity, data.false_alarm, validation.clusters, validation.grouping
        )
    if chosen is None or final.predictions.unfamiliarity is None:
        return None
    return measure_unfamiliarity(chosen, final.predictions.unfamiliarity, final.info, final.predictions.clusters)


def _apply(chosen: ModelCalibration, final: Predictions) -> tuple[Calibration, list[Abstention]]:
    """Measures the calibration that a model brings along; nothing is fitted to the test images."""
    scaled = apply_temperature(final.probabilities, chosen.temperature)
    estimate = TemperatureEstimate(
        chosen.temperature, chosen.applied, chosen.fitted_temperature, chosen.temperature_interval, chosen.p_value
    )
    test = (final.labels, final.probabilities)
    calibration = measure_calibration(estimate, chosen.validation_images, test, final.clusters)
    rows = [Abstention(**dataclasses.asdict(each)) for each in chosen.abstention]
    return calibration, [measure_abstention(row, (final.labels, scaled), final.clusters) for row in rows]


def _slice_metrics(part: Slice, right: NDArray[np.bool_], groups: Groups | None, folds: int) -> SliceMetrics:
    inside = right[part.rows]
    accuracy = float(inside.mean())
    interval = share_interval(inside, None if groups is None else groups[part.rows])
    if folds:
        interval = widen_for_folds(accuracy, interval, folds)
    return SliceMetrics(part.column, part.value, len(inside), accuracy, interval)


def _model_json(model: EvaluatedModel) -> dict[str, Any]:
    epochs = average_steps(model.epochs, _CURVE_POINTS)
    return {**dataclasses.asdict(model.info), "history": [dataclasses.asdict(epoch) for epoch in epochs]}


def _metrics_json(result: Evaluation, data: EvaluationData) -> dict[str, Any]:
    curve = read_learning_curve(data.probe / LEARNING_CURVE) if data.probe else None
    return {
        "format": METRICS_FORMAT,
        "classes": result.predictions.classes,
        "stage": data.models[FINAL].info.stage,
        "test_data": data.test_data,
        "validation_data": data.validation_data,
        "bootstrap_seed": BOOTSTRAP_SEED,
        "grouping": result.predictions.grouping,
        **{name: each.as_json() for name, each in result.metrics.items()},
        "calibration": dataclasses.asdict(result.calibration) if result.calibration else None,
        "abstention": [dataclasses.asdict(each) for each in result.abstention],
        "unfamiliarity": dataclasses.asdict(result.unfamiliarity) if result.unfamiliarity else None,
        "slices": [dataclasses.asdict(each) for each in result.slices],
        "comparison": dataclasses.asdict(result.comparison) if result.comparison else None,
        "learning_curve": dataclasses.asdict(curve) if curve else None,
        "selection": dataclasses.asdict(data.selection) if data.selection else None,
        "cross_validation": dataclasses.asdict(result.cross_validation) if result.cross_validation else None,
        **_label_errors(data.probe),
        "training": describe_training(dataclasses.asdict(data.models[FINAL].info)),
    }


def _label_errors(probe: Path | None) -> dict[str, int | None]:
    if probe is None:
        return {"doubtful_labels": None, "suspected_label_errors": None}
    with (probe / LABEL_ERRORS).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        "doubtful_labels": len(rows),
        "suspected_label_errors": sum(map(_is_suspected, rows)),
    }


def _is_suspected(row: dict[str, str]) -> bool:
    """True if a row of `label_errors.csv` is about a label that is more probably wrong than right."""
    if "confidence" in row:
        return float(row["confidence"]) >= SUSPECTED_FROM
    # An earlier version wrote the suggested class as the label, if it was confident.
    return row["label"] != row["given"]
