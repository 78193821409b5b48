"""From what models say of images to all there is to know of them; no network is needed."""

import csv
import dataclasses
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.evaluation import FINAL, FORMAT, IN_USE, METRICS, MODELS, PICTURES
from headstart.components.core.artifacts.history import Epoch, thinned
from headstart.components.core.artifacts.hygiene import HYGIENE
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.predictions import (
    CHAMPION,
    PREDICTIONS,
    VALIDATION,
    Predictions,
    write_predictions,
)
from headstart.components.core.artifacts.probe import (
    LABEL_ERRORS,
    LEARNING_CURVE,
    SUSPECTS,
    read_learning_curve,
)
from headstart.components.core.artifacts.thumbnails import Shown, read_pictures, write_pictures
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.metrics.comparison import Comparison, compare_predictions
from headstart.components.core.metrics.slices import find_slices
from headstart.components.core.metrics.statistics import Interval, wilson_interval
from headstart.components.core.storage.atomic import complete_folder, make_empty_folder, write_json
from headstart.components.evaluate_model.classification_metrics import SEED, Figures, figures_of
from headstart.components.evaluate_model.reliability import Abstention, Calibration, abstentions, calibrate

_CURVE_POINTS = 150
"""Of each stage's training curve, as far as it has no more epochs; all steps are in the model's `history.csv`."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A model, and what it says of the test images.

    Attributes:
        info: What it is.
        epochs: How its training went.
        predictions: What it says.
    """

    info: ModelInfo
    epochs: list[Epoch]
    predictions: Predictions


@dataclasses.dataclass(frozen=True)
class Material:
    """What an evaluation is made of.

    Attributes:
        runs: By name: `FINAL`, `IN_USE` where there is such a model, others by their stage.
        test_data: Digest of the test set.
        validation: What the final model says of validation images; None where there are none.
        validation_data: Digest of the validation set.
        pictures: Test images to look at.
        probe: Folder in which a head's artifact keeps what its record says of the data; None where there is none.
        hygiene: `hygiene.json` of the data, likewise.
        command: What started the run.
    """

    runs: dict[str, Run]
    test_data: str
    validation: Predictions | None = None
    validation_data: str | None = None
    pictures: Sequence[Shown] = ()
    probe: Path | None = None
    hygiene: Path | None = None
    command: str = ""


@dataclasses.dataclass(frozen=True)
class SliceFigures:
    """Accuracy on a part of the test images.

    Attributes:
        column: The extra column that tells the parts apart.
        value: Its value.
        images: Test images that have it.
        accuracy: Share right.
        accuracy_interval: Wilson, at the 95 % level.
    """

    column: str
    value: str
    images: int
    accuracy: float
    accuracy_interval: Interval


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All figures of an evaluation.

    Attributes:
        figures: By model: `test` for the final one, `champion` for the one in use, else the stage.
        calibration: Of the final model; None without validation images.
        abstention: Thresholds for the final model's scaled probabilities, likewise.
        slices: Parts of the test images that the data's extra columns tell apart.
        comparison: The final model with the one in use; None where there is none.
        predictions: Of the final model.
    """

    figures: dict[str, Figures]
    calibration: Calibration | None
    abstention: list[Abstention]
    slices: list[SliceFigures]
    comparison: Comparison | None
    predictions: Predictions


def write_evaluation(material: Material, evaluation: Path) -> Evaluation:
    """Works out all figures and writes them, with whatever the report is made of.

    Args:
        material: What models say.
        evaluation: The folder, made anew; `metrics.json` is written last.
    """
    make_empty_folder(evaluation)
    result = _evaluate(material)
    pictures = list(material.pictures)
    write_predictions(evaluation / PREDICTIONS, material.runs[FINAL].predictions)
    if IN_USE in material.runs:
        write_predictions(evaluation / CHAMPION, material.runs[IN_USE].predictions)
    if material.validation:
        write_predictions(evaluation / VALIDATION, material.validation)
    if material.probe:
        for name in (LABEL_ERRORS, LEARNING_CURVE):
            shutil.copyfile(material.probe / name, evaluation / name)
        pictures += read_pictures(material.probe / SUSPECTS)
    if material.hygiene:
        shutil.copyfile(material.hygiene, evaluation / HYGIENE)
    write_pictures(evaluation / PICTURES, pictures)
    models = {name: _made(run) for name, run in material.runs.items()}
    write_json(evaluation / MODELS, {"command": material.command, "models": models})
    complete_folder(evaluation, METRICS, _metrics(result, material))
    return result


def _evaluate(material: Material) -> Evaluation:
    runs, answers = material.runs, material.validation
    final = runs[FINAL].predictions
    figures = {
        name: figures_of(run.predictions.labels, run.predictions.probabilities, final.classes)
        for name, run in runs.items()
    }
    calibration, table = None, []
    if answers:
        calibration = calibrate((answers.labels, answers.probabilities), (final.labels, final.probabilities))
        scale = functools.partial(apply_temperature, temperature=calibration.temperature)
        table = abstentions(
            (answers.labels, scale(answers.probabilities)), (final.labels, scale(final.probabilities))
        )
    return Evaluation(
        figures,
        calibration,
        table,
        [
            SliceFigures(
                part.column,
                part.value,
                int(part.rows.sum()),
                float(final.right[part.rows].mean()),
                wilson_interval(int(final.right[part.rows].sum()), int(part.rows.sum())),
            )
            for part in find_slices(final)
        ],
        compare_predictions(final, runs[IN_USE].predictions) if IN_USE in runs else None,
        final,
    )


def _made(run: Run) -> dict[str, Any]:
    epochs = thinned(run.epochs, _CURVE_POINTS)
    return {**dataclasses.asdict(run.info), "history": [dataclasses.asdict(epoch) for epoch in epochs]}


def _metrics(result: Evaluation, material: Material) -> dict[str, Any]:
    curve = read_learning_curve(material.probe / LEARNING_CURVE) if material.probe else None
    return {
        "format": FORMAT,
        "classes": result.predictions.classes,
        "test_data": material.test_data,
        "validation_data": material.validation_data,
        "bootstrap_seed": SEED,
        **{name: each.as_json() for name, each in result.figures.items()},
        "calibration": dataclasses.asdict(result.calibration) if result.calibration else None,
        "abstention": [dataclasses.asdict(each) for each in result.abstention],
        "slices": [dataclasses.asdict(each) for each in result.slices],
        "comparison": dataclasses.asdict(result.comparison) if result.comparison else None,
        "learning_curve": dataclasses.asdict(curve) if curve else None,
        **_label_errors(material.probe),
    }


def _label_errors(probe: Path | None) -> dict[str, int | None]:
    if probe is None:
        return {"doubtful_labels": None, "suspected_label_errors": None}
    with (probe / LABEL_ERRORS).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        "doubtful_labels": len(rows),
        "suspected_label_errors": sum(row["label"] != row["given"] for row in rows),
    }
