"""Runs models once over the test images, and works out from what they say all there is to know."""

import csv
import dataclasses
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.calibration import scaled
from headstart.components.core.comparison import Comparison, compare
from headstart.components.core.dataset import DatasetInfo, read_info
from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import fresh_folder, write_json
from headstart.components.core.history import HISTORY, Epoch, read_history
from headstart.components.core.hygiene import HYGIENE
from headstart.components.core.logs import event, start_logging
from headstart.components.core.model import MANIFEST, MODEL, SEEN, ModelInfo, read_model_info, read_seen
from headstart.components.core.pictures import read_pictures, write_pictures
from headstart.components.core.predictions import (
    CHAMPION,
    PREDICTIONS,
    VALIDATION,
    Predictions,
    predictions_of,
    write_predictions,
)
from headstart.components.core.probe import LABEL_ERRORS, LEARNING_CURVE, PROBE, SUSPECTS, read_learning_curve
from headstart.components.core.slices import slices_of
from headstart.components.core.statistics import Interval, wilson
from headstart.components.core.stores.folder import local_folder
from headstart.components.evaluate_model.calibration import (
    Abstention,
    Calibration,
    abstentions,
    calibrate,
)
from headstart.components.evaluate_model.figures import SEED, Figures, figures_of
from headstart.components.evaluate_model.files import FORMAT, METRICS, MODELS, PICTURES
from headstart.components.evaluate_model.look import Heat, pictures_of
from headstart.components.evaluate_model.report import render

FINAL = "test"
"""Key of the final model's figures in `metrics.json`; other models stand under their stage's name."""

IN_USE = "champion"


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What is evaluated, and on what.

    Attributes:
        model: Model artifact of the final model.
        test: Dataset artifact that no training has seen.
        validation: Dataset artifact for calibration and thresholds, which test images must not choose; None: neither.
        others: Model artifacts to show beside it: the head alone, a network trained from scratch.
        champion: The model in use, a model artifact's folder or its address; empty: there is none.
        command: What started the run, for the report.
    """

    model: Path
    test: Path
    validation: Path | None = None
    others: Sequence[Path] = ()
    champion: str = ""
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


@dataclasses.dataclass(frozen=True)
class _Run:
    info: ModelInfo
    epochs: list[Epoch]
    predictions: Predictions


def evaluate_model(inputs: Inputs, evaluation: Path, report: Path) -> Evaluation:
    """Runs each model once over the test images and writes what came of it.

    Args:
        inputs: What is evaluated, and on what.
        evaluation: Folder, made anew: `metrics.json`, the predictions, and whatever the report is made of.
        report: The HTML file to write.

    Raises:
        HeadstartError: An artifact is incomplete, or models and data have different classes.
    """
    start_logging()
    data = read_info(inputs.test)
    if not data.images:
        raise HeadstartError(f"{inputs.test} has no images; give the test split some")
    fresh_folder(evaluation)

    runs = {run.info.stage: run for run in (_run(folder, inputs.test, data.classes) for folder in inputs.others)}
    champion = _run_champion(inputs.champion, inputs.test, data.classes) if inputs.champion else None
    final = _run(inputs.model, inputs.test, data.classes)
    answers = _answers(inputs.model, inputs.validation, data.classes) if inputs.validation else None
    named = {FINAL: final} | ({IN_USE: champion} if champion else {}) | runs
    result = _evaluate(named, answers)

    write_predictions(evaluation / PREDICTIONS, final.predictions)
    if champion:
        write_predictions(evaluation / CHAMPION, champion.predictions)
    if answers:
        write_predictions(evaluation / VALIDATION, answers)
    shown = pictures_of(inputs.test, final.predictions, _heat(inputs.model, final.info))
    probe = _probe(inputs)
    if probe:
        shutil.copyfile(probe / LABEL_ERRORS, evaluation / LABEL_ERRORS)
        shutil.copyfile(probe / LEARNING_CURVE, evaluation / LEARNING_CURVE)
        shown += read_pictures(probe / SUSPECTS)
    write_pictures(evaluation / PICTURES, shown)
    if (inputs.test / HYGIENE).exists():
        shutil.copyfile(inputs.test / HYGIENE, evaluation / HYGIENE)
    write_json(evaluation / MODELS, {"command": inputs.command, "models": {k: _made(v) for k, v in named.items()}})
    write_json(evaluation / METRICS, _metrics(result, data, inputs.validation, probe))
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(render(evaluation), encoding="utf-8")
    for name, each in result.figures.items():
        event("evaluation", model=name, accuracy=each.accuracy, images=each.images)
    return result


def _run(folder: Path, test: Path, classes: list[str], seen: frozenset[str] = frozenset()) -> _Run:
    info = read_model_info(folder)
    probabilities = _predict(folder, info, test, classes, f"evaluate {info.stage}")
    return _Run(info, read_history(folder), predictions_of(test, probabilities, seen))


def _run_champion(address: str, test: Path, classes: list[str]) -> _Run:
    with local_folder(address, [MODEL, HISTORY, SEEN, MANIFEST]) as folder:
        return _run(folder, test, classes, read_seen(folder))


def _answers(model: Path, validation: Path, classes: list[str]) -> Predictions | None:
    data = read_info(validation)
    if data.classes != classes:
        raise HeadstartError(f"validation images have classes {data.classes}, the test images {classes}; pass a pair")
    if not data.images:
        return None
    info = read_model_info(model)
    return predictions_of(validation, _predict(model, info, validation, classes, "calibrate"))


def _predict(folder: Path, info: ModelInfo, data: Path, classes: list[str], what: str) -> NDArray[np.float64]:
    if sorted(info.classes) != sorted(classes):
        raise HeadstartError(f"model {folder} has classes {info.classes}, the test images {classes}; pass a pair")

    from headstart.components.core.network.predict import predict

    probabilities = predict(_network(folder), data, what)
    # Of a champion the order may be another one.
    return probabilities[:, [info.classes.index(name) for name in classes]]


def _network(folder: Path) -> Any:
    from headstart.components.core.network.artifact import load_model

    return load_model(folder)


def _heat(folder: Path, info: ModelInfo) -> Heat:
    def heat(encoded: list[bytes], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        from headstart.components.core.network.gradcam import grad_cam
        from headstart.components.core.network.images import decode

        pixels = np.stack([decode(each, info.image_size).numpy() for each in encoded])
        return grad_cam(_network(folder), info.backbone, pixels, labels)

    return heat


def _evaluate(runs: dict[str, _Run], answers: Predictions | None) -> Evaluation:
    final = runs[FINAL].predictions
    figures = {
        name: figures_of(run.predictions.labels, run.predictions.probabilities, final.classes)
        for name, run in runs.items()
    }
    calibration, table = None, []
    if answers:
        calibration = calibrate((answers.labels, answers.probabilities), (final.labels, final.probabilities))
        scale = functools.partial(scaled, temperature=calibration.temperature)
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
                wilson(int(final.right[part.rows].sum()), int(part.rows.sum())),
            )
            for part in slices_of(final)
        ],
        compare(final, runs[IN_USE].predictions) if IN_USE in runs else None,
        final,
    )


def _probe(inputs: Inputs) -> Path | None:
    """What the head's artifact says of the data; only train_head knows it."""
    return next((model / PROBE for model in (inputs.model, *inputs.others) if (model / PROBE).is_dir()), None)


def _made(run: _Run) -> dict[str, Any]:
    return {**dataclasses.asdict(run.info), "history": [dataclasses.asdict(epoch) for epoch in run.epochs]}


def _metrics(result: Evaluation, data: DatasetInfo, validation: Path | None, probe: Path | None) -> dict[str, Any]:
    curve = read_learning_curve(probe / LEARNING_CURVE) if probe else None
    return {
        "format": FORMAT,
        "classes": data.classes,
        "test_data": data.digest,
        "validation_data": read_info(validation).digest if validation else None,
        "bootstrap_seed": SEED,
        **{name: each.as_json() for name, each in result.figures.items()},
        "calibration": dataclasses.asdict(result.calibration) if result.calibration else None,
        "abstention": [dataclasses.asdict(each) for each in result.abstention],
        "slices": [dataclasses.asdict(each) for each in result.slices],
        "comparison": dataclasses.asdict(result.comparison) if result.comparison else None,
        "learning_curve": dataclasses.asdict(curve) if curve else None,
        **_label_errors(probe),
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
