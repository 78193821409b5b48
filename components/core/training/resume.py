"""Interrupted training goes on as if nothing had happened."""

from collections.abc import Sequence

import keras

from headstart.components.core.networks.identity import model_digest
from headstart.components.core.networks.saving import library_versions
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.best_epoch import BestEpoch, assign, values_of
from headstart.components.core.training.checkpoint import Checkpoint, State


def open_checkpoint(uri: str, plan: Plan, network: keras.Model, datasets: Sequence[str]) -> Checkpoint | None:
    """The checkpoint of a stage's training; None for an empty address.

    Args:
        uri: A folder, or a gs:// or s3:// address of one.
        plan: How the stage trains.
        network: As it is before training.
        datasets: Digests of what it is trained and validated on.

    Raises:
        HeadstartError: The address is of another kind, or the environment's credentials cannot be used.
    """
    if not uri:
        return None
    work = {
        "training": plan.training.model_dump(),
        "augmentation": plan.augmentation.model_dump(),
        "seed": plan.seed,
        "deterministic": plan.deterministic,
        "network_sha256": model_digest(network),
        "datasets": list(datasets),
        "versions": library_versions(),
    }
    return Checkpoint(uri, plan.phase, work)


class Saver(keras.callbacks.Callback):
    """Saves the training state after each epoch, so that training resumes exactly.

    It does so when the next epoch begins; the last epoch is saved once, as the result.

    Args:
        checkpoint: Where to save it.
        keeper: Knows what is done and which epoch was the best.
    """

    def __init__(self, checkpoint: Checkpoint, keeper: BestEpoch) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._keeper = keeper
        self._saved = len(keeper.epochs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves what the epochs before have left."""
        if len(self._keeper.epochs) > self._saved:
            self._saved = len(self._keeper.epochs)
            network, optimizer = values_of(changing(self.model)), values_of(self.model.optimizer.variables)
            self._checkpoint.write(State(self._keeper.epochs, self._keeper.weights, network, optimizer))

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Saves the result, if there is one."""
        if self._keeper.epochs:
            self._checkpoint.write(State(self._keeper.epochs, self._keeper.weights))
        self._checkpoint.close()


def restore(model: keras.Model, state: State) -> None:
    """Makes a compiled model stand where it stood, optimizer and random generators included.

    Args:
        model: With an optimizer that has not made a step.
        state: Not that of an end.
    """
    assign(changing(model), state.network)
    assign(model.optimizer.variables, state.optimizer)


def changing(model: keras.Model) -> list[keras.Variable]:
    """Whatever training changes of a network without BatchNormalization in training: weights and random seeds."""
    weights = {id(variable) for variable in model.weights}
    return [*model.trainable_variables, *(each for each in model.variables if id(each) not in weights)]
