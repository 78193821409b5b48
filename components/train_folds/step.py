"""Trains a model without each of some cross-validation folds, and predicts the fold's images with it."""

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from headstart.components.core.artifacts.cross_validation import (
    FoldParts,
    FoldResult,
    FoldRows,
    OutOfFold,
    PhaseResult,
    concatenate_out_of_fold,
    find_fold_rows,
    read_fold_parts,
    write_fold_results,
)
from headstart.components.core.artifacts.dataset import (
    SPLITS,
    DatasetWriter,
    read_columns,
    read_dataset_info,
    read_rows,
)
from headstart.components.core.artifacts.history import read_history
from headstart.components.core.artifacts.model import (
    FINE_TUNED_SHARE,
    HELD_OUT_PREDICTIONS,
    RIDGE_HEAD,
    ModelInfo,
    read_model_info,
    read_validation_predictions,
)
from headstart.components.core.artifacts.predictions import build_predictions
from headstart.components.core.metrics.calibration import estimate_temperature, to_logits
from headstart.components.core.networks.start import free_networks, start_tensorflow
from headstart.components.core.recipes.variants import Method
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging
from headstart.components.fine_tune.step import fine_tune
from headstart.components.train_from_scratch.step import train_from_scratch
from headstart.components.train_head.step import train_head

_HEAD = "head"


@explain_full_disk()
def train_folds(inputs: TrainingInputs, folds: Sequence[int], method: Method, results: Path) -> list[FoldResult]:
    """Trains a model without each fold, all phases of a method, and predicts the images of the fold.

    Everything that a training chooses is chosen on validation images of the other folds: the epoch, the share of the
    fine-tuned weights, the temperature. The images of the fold, and of their groups, are only predicted.

    Args:
        inputs: Dataset of all images, hyperparameters, seed and addresses.
        folds: Numbers of the folds, from 0; none where nothing is cross-validated.
        method: One of `METHODS`.
        results: Folder to write, emptied first.

    Returns:
        Results of the folds.

    Raises:
        HeadstartError: If the dataset is not divided for cross-validation, or a training fails.
    """
    start_logging()
    make_empty_folder(results)
    found: list[FoldResult] = []
    predictions: dict[str, list[OutOfFold]] = {}
    parts = read_fold_parts(inputs.train)
    if folds and parts is None:
        raise HeadstartError(f"{inputs.train} is not divided into folds; split it with cross_validation")
    for fold in folds:
        assert parts is not None  # noqa: S101 - for the type checker
        event("fold", number=fold + 1, folds=parts.folds)
        result, predicted = _train_fold(inputs, parts, fold, method)
        found.append(result)
        for phase, each in predicted.items():
            predictions.setdefault(phase, []).append(each)
    if folds:
        event("folds_trained", folds=len(found))
    combined = {phase: concatenate_out_of_fold(each) for phase, each in predictions.items()}
    write_fold_results(results, found, combined, read_dataset_info(inputs.train).classes)
    return found


def train_by_method(inputs: TrainingInputs, model: Path, method: Method, head: Path | None = None) -> ModelInfo:
    """Runs the steps of a method one after the other; the result is the same as theirs.

    Args:
        inputs: Data, hyperparameters, seed and addresses.
        model: Folder of the model artifact, created anew.
        method: One of `METHODS`.
        head: Folder of the head's model artifact where it is fine-tuned; None: it is not kept.
    """
    if method == "from_scratch":
        return train_from_scratch(inputs, model)
    if method == "head":
        return train_head(inputs, model, to_be_tuned=False)
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        head = head or Path(folder) / _HEAD
        train_head(inputs, head)
        return fine_tune(head, inputs, model)


def _train_fold(
    inputs: TrainingInputs, parts: FoldParts, fold: int, method: Method
) -> tuple[FoldResult, dict[str, OutOfFold]]:
    """The result of a fold, and predictions for its images by the phase after which they were made."""
    start_tensorflow()
    started = time.monotonic()
    rows = find_fold_rows(inputs.train, parts, fold)
    with _write_parts(inputs.train, rows) as (train, validation, held_out):
        own = dataclasses.replace(
            inputs, train=train, validation=validation, whole=inputs.train, held_out=held_out, tensorboard=None
        )
        model, head = train.parent / "model", train.parent / _HEAD
        train_by_method(own, model, method, head)
        phases, predictions = {}, {}
        for folder in (head, model):
            if folder.exists():
                phase, phases_result, predicted = _read_phase(folder, own, fold)
                phases[phase], predictions[phase] = phases_result, predicted
    # Networks of the folds would add up.
    free_networks()
    sizes = (len(rows.train), len(rows.validation), len(rows.held_out))
    return FoldResult(fold, *sizes, time.monotonic() - started, phases), predictions


@contextlib.contextmanager
def _write_parts(whole: Path, rows: FoldRows) -> Iterator[tuple[Path, Path, Path]]:
    """Writes the images of a fold's training, of its validation and of the fold as datasets, for a while."""
    info = read_dataset_info(whole)
    part_of = np.empty(info.images, np.int64)
    for part, each in enumerate((rows.train, rows.validation, rows.held_out)):
        part_of[each] = part
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        places = [Path(folder) / name for name in SPLITS]
        with contextlib.ExitStack() as stack:
            shared = (info.classes, info.source, info.extra, info.max_side, info.ranges)
            writers = [
                stack.enter_context(DatasetWriter(place, *shared, place.name, info.grouping)) for place in places
            ]
            for row, part in zip(read_rows(whole), part_of.tolist(), strict=True):
                writers[part].add(row)
        yield places[0], places[1], places[2]


def _read_phase(folder: Path, inputs: TrainingInputs, fold: int) -> tuple[str, PhaseResult, OutOfFold]:
    """What a model of a fold says: its phase, its result, and its predictions for the images of the fold."""
    info = read_model_info(folder)
    assert inputs.held_out is not None  # noqa: S101 - for the type checker
    validation = read_validation_predictions(folder, inputs.validation)
    held_out = read_validation_predictions(folder, inputs.held_out, HELD_OUT_PREDICTIONS)
    assert validation is not None and held_out is not None  # noqa: S101 - training has just written them
    assert held_out.unfamiliarity is not None  # noqa: S101 - likewise
    predictions = build_predictions(inputs.validation, validation.probabilities)
    logits = to_logits(predictions.probabilities)
    temperature = estimate_temperature(predictions.labels, logits, predictions.clusters).temperature
    epochs = [each for each in read_history(folder) if each.stage == info.stage]
    result = PhaseResult(
        losses=[each.validation_loss for each in epochs],
        accuracies=[each.validation_accuracy for each in epochs],
        validation_loss=info.metrics["validation_loss"],
        validation_accuracy=info.metrics["validation_accuracy"],
        temperature=temperature,
        ridge=bool(info.metrics.get(RIDGE_HEAD)),
        share=info.metrics.get(FINE_TUNED_SHARE, 1.0),
    )
    ids = read_columns(inputs.held_out, ["id"])["id"].to_pylist()
    predicted = OutOfFold(
        ids,
        np.full(len(ids), fold, np.int64),
        np.full(len(ids), temperature),
        held_out.probabilities,
        held_out.unfamiliarity,
    )
    return info.stage, result, predicted
