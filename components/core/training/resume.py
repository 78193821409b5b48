"""Saving and restoring the training state, so that interrupted training resumes exactly."""

import dataclasses
from collections.abc import Sequence

import keras

from headstart.components.core.networks.identity import model_digest
from headstart.components.core.networks.saving import library_versions
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.best_epoch import BestEpoch
from headstart.components.core.training.checkpoint import Checkpoint, TrainingState
from headstart.components.core.training.fold_choice import FoldChoice
from headstart.components.core.training.variables import get_changing_variables, get_values, set_values


def open_checkpoint(
    uri: str, plan: Plan, network: keras.Model, datasets: Sequence[str], choice: FoldChoice | None = None
) -> Checkpoint | None:
    """Opens the checkpoint of a training job.

    Args:
        uri: Folder, or gs:// or s3:// address of one; empty: no checkpoint.
        plan: Hyperparameters and seed of this training phase.
        network: The network before training.
        datasets: Digests of the training and the validation set.
        choice: Choice of a cross-validation in place of validation images; None: validation images choose.

    Returns:
        The checkpoint; None for an empty address.

    Raises:
        HeadstartError: If the address is of another kind, or the environment's credentials cannot be used.
    """
    if not uri:
        return None
    job = {
        "training": plan.training.model_dump(),
        "augmentation": plan.augmentation.model_dump(),
        "seed": plan.seed,
        "deterministic": plan.deterministic,
        "network_sha256": model_digest(network),
        "datasets": list(datasets),
        "versions": library_versions(),
        **({"choice": dataclasses.asdict(choice)} if choice else {}),
    }
    return Checkpoint(uri, plan.phase, job)


class CheckpointWriter(keras.callbacks.Callback):
    """Saves the training state after each epoch, so that training resumes exactly.

    It does so when the next epoch begins; the last epoch is saved once, as the result.

    Args:
        checkpoint: Checkpoint to write.
        best_epoch: Callback that knows the epochs so far and the best one's weights.
    """

    def __init__(self, checkpoint: Checkpoint, best_epoch: BestEpoch) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._best_epoch = best_epoch
        self._saved = len(best_epoch.epochs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the state after the epoch before, unless training resumed there."""
        epochs, best = self._best_epoch.epochs, self._best_epoch.weights
        if len(epochs) > self._saved:
            self._saved = len(epochs)
            network = get_values(get_changing_variables(self.model))
            self._checkpoint.write(TrainingState(epochs, best, network, get_values(self.model.optimizer.variables)))

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Saves the result, if there is one."""
        if self._best_epoch.epochs:
            self._checkpoint.write(TrainingState(self._best_epoch.epochs, self._best_epoch.weights))
        self._checkpoint.close()


def restore_state(model: keras.Model, state: TrainingState) -> None:
    """Sets a compiled model to a training state, with its optimizer and random generators.

    Args:
        model: Model whose optimizer has not made a step.
        state: State of unfinished training.
    """
    set_values(get_changing_variables(model), state.network)
    set_values(model.optimizer.variables, state.optimizer)
