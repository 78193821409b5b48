"""Trains a model by one of the three methods in one task, since each pod of a cluster costs seconds."""

import dataclasses
import tempfile
from pathlib import Path

from headstart.components.core.artifacts.cross_validation import FoldParts, read_fold_parts
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.recipes.variants import Method
from headstart.components.core.storage.cache import temporary_cache
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging
from headstart.components.train_folds.step import train_by_method, train_folds


@explain_full_disk()
def train_variant(inputs: TrainingInputs, model: Path, name: str, method: Method) -> ModelInfo:
    """Runs the steps of a method one after the other; the result is the same as theirs.

    Where the training set is divided for cross-validation, a model is trained without each fold first, see
    `train_folds`, and then the final one on all images.

    Features that another variant or run has cached are not used, nor is the shared cache: durations could not be
    compared. Epochs are resumed from checkpoints, which know their seconds, and these count. Variants that train the
    same head share its checkpoint.

    Args:
        inputs: Data, hyperparameters, seed and addresses.
        model: Folder of the model artifact, created anew.
        name: Name of the variant.
        method: One of `METHODS`.

    Raises:
        HeadstartError: If a step fails; the message names the variant.
    """
    start_logging()
    event("variant", variant=name, method=method)
    inputs = dataclasses.replace(inputs, record_uri="")
    try:
        with temporary_cache("records"):
            parts = read_fold_parts(inputs.train)
            return _cross_validate(inputs, model, method, parts) if parts else train_by_method(inputs, model, method)
    except HeadstartError as error:
        raise HeadstartError(f"variant {name!r}: {error}") from None


def _cross_validate(inputs: TrainingInputs, model: Path, method: Method, parts: FoldParts) -> ModelInfo:
    """Trains without each fold, then on all images with what the folds chose."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        results = Path(folder) / "results"
        train_folds(inputs, range(parts.folds), method, results)
        return train_by_method(dataclasses.replace(inputs, fold_results=results), model, method)
