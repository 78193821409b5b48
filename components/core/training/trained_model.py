"""Writes the model artifact of a finished training job."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.cross_validation import CROSS_VALIDATION, read_fold_results
from headstart.components.core.artifacts.history import Epoch, best_epoch, read_history
from headstart.components.core.artifacts.model import (
    HELD_OUT_PREDICTIONS,
    ModelInfo,
    ValidationPredictions,
    write_seen,
    write_validation_predictions,
)
from headstart.components.core.artifacts.reference import write_reference
from headstart.components.core.networks.saving import save_model
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.training.feature_predictions import predict_proba
from headstart.components.core.training.reference_features import compute_familiarity
from headstart.components.core.training.tensorboard import write_event_files
from headstart.components.core.training.training_job import TrainingJob
from headstart.components.core.util.logs import event, log_phase


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """Outcome of a training job.

    Attributes:
        info: Description of the trained model.
        epochs: Epochs of this phase, in order.
        predictions: Class probabilities of the validation images, float64 (images, classes).
        parent: Folder of the model that training started from; None: there is none.
    """

    info: ModelInfo
    epochs: list[Epoch]
    predictions: NDArray[np.float64]
    parent: Path | None = None


def save_trained_model(
    folder: Path, job: TrainingJob, result: TrainingResult, write_more: Callable[[Path], None] | None = None
) -> ModelInfo:
    """Writes a model artifact, its manifest last, and TensorBoard event files if the job's inputs name a folder.

    Args:
        folder: Folder of the model artifact, created anew.
        job: The job, its network trained and its cached features still there.
        result: Outcome of the job.
        write_more: Writes further files of the step into the folder; None: there are none.

    Returns:
        The description of the model, with the size of its reference.
    """
    inputs, info, epochs, parent = job.inputs, result.info, result.epochs, result.parent
    if inputs.tensorboard:
        write_event_files(inputs.tensorboard, info.stage, epochs)
    make_empty_folder(folder)
    write_seen(folder, [inputs.train, inputs.validation], parent)
    log_phase("reference features")
    familiarity = compute_familiarity(job)
    reference = familiarity.reference
    write_reference(folder, reference)
    info = dataclasses.replace(info, reference_images=len(reference.features), neighbours=reference.neighbours)
    predictions = ValidationPredictions(result.predictions, familiarity.validation)
    write_validation_predictions(folder, inputs.validation, predictions)
    if inputs.held_out and job.held_out_features:
        held_out = ValidationPredictions(predict_proba(job.tail, job.held_out_features), familiarity.held_out)
        write_validation_predictions(folder, inputs.held_out, held_out, HELD_OUT_PREDICTIONS)
    if inputs.fold_results and job.choice:
        shutil.copyfile(inputs.fold_results / f"{info.stage}.parquet", folder / CROSS_VALIDATION)
        info = dataclasses.replace(info, folds=len(read_fold_results(inputs.fold_results)))
    log_phase("saving the model")
    if write_more:
        write_more(folder)
    save_model(folder, job.network, info, [*(read_history(parent) if parent else []), *epochs])
    # A model interpolated with its parent is that of no single epoch.
    chosen = {} if parent else {"epoch": best_epoch(epochs).epoch}
    event("model", stage=info.stage, **chosen, **info.metrics)
    return info
