"""Trains a model by one of the three methods in one task, since each pod of a cluster costs seconds."""

import dataclasses
import tempfile
from pathlib import Path

from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.recipes.variants import Method
from headstart.components.core.storage.cache import temporary_cache
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging
from headstart.components.fine_tune.step import fine_tune
from headstart.components.train_from_scratch.step import train_from_scratch
from headstart.components.train_head.step import train_head


@explain_full_disk()
def train_variant(inputs: TrainingInputs, model: Path, name: str, method: Method) -> ModelInfo:
    """Runs the steps of a method one after the other; the result is the same as theirs.

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
    try:
        with temporary_cache("records"):
            return _train(dataclasses.replace(inputs, record_uri=""), model, method)
    except HeadstartError as error:
        raise HeadstartError(f"variant {name!r}: {error}") from None


def _train(inputs: TrainingInputs, model: Path, method: Method) -> ModelInfo:
    if method == "from_scratch":
        return train_from_scratch(inputs, model)
    if method == "head":
        return train_head(inputs, model, to_be_tuned=False)
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        head = Path(folder) / "head"
        train_head(inputs, head)
        return fine_tune(head, inputs, model)
