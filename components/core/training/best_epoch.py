"""The best epoch is kept, and training ends where it leads nowhere."""

import time

import keras
import numpy as np

from headstart.components.core.artifacts.history import Epoch, best_epoch
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.checkpoint import Arrays, State
from headstart.components.core.training.step_history import Steps
from headstart.components.core.util.logs import event, log_progress


class BestEpoch(keras.callbacks.Callback):
    """Logs each epoch, remembers the best one's weights, and stops at a loss that is not finite, or falls no more.

    Args:
        plan: How the stage trains.
        steps: Knows the steps of the present epoch.
        state: To go on from; None: from the start.

    Attributes:
        epochs: Those that are done.
        weights: Trainable variables after the best of them; before the first, as they were.
        lost: How the loss came to be not finite, and the way out; empty: it did not.
    """

    def __init__(self, plan: Plan, steps: Steps, state: State | None = None) -> None:
        super().__init__()
        self.epochs: list[Epoch] = list(state.epochs) if state else []
        self.weights: Arrays = state.best if state else []
        self._plan = plan
        self._steps = steps
        self.lost = ""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Takes note of the weights that there are, unless an epoch has left better ones."""
        if not self.epochs:
            self.weights = values_of(self.model.trainable_variables)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the loss."""
        if not self.lost and not np.isfinite((logs or {})["loss"]):
            self._stop(f"is not finite after step {batch + 1} of epoch {len(self.epochs) + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Takes note of the epoch, and of its weights if it is the best."""
        logs = logs or {}
        loss, held_out = logs["loss"], logs["val_loss"]
        if not self.lost and not np.isfinite([loss, held_out]).all():
            self._stop(f"on validation images is not finite after epoch {epoch + 1}")
        if self.lost:
            return
        done = Epoch(
            stage=self._plan.phase,
            epoch=epoch + 1,
            seconds=time.monotonic() - self._started,
            learning_rate=self._steps.made[-1].learning_rate,
            loss=float(loss),
            accuracy=float(logs["accuracy"]),
            validation_loss=float(held_out),
            validation_accuracy=float(logs["val_accuracy"]),
            steps=tuple(self._steps.made),
        )
        self.epochs.append(done)
        since = done.epoch - best_epoch(self.epochs).epoch
        if since == 0:
            self.weights = values_of(self.model.trainable_variables)
        elif since == self._plan.training.patience:
            self.model.stop_training = True
        log_progress(
            self._plan.phase,
            epoch + 1,
            self._plan.training.epochs,
            unit="epochs",
            loss=done.loss,
            validation_loss=done.validation_loss,
            validation_accuracy=done.validation_accuracy,
        )

    def _stop(self, what: str) -> None:
        """Ends training; the best epoch so far is the result."""
        rate = f"{self._plan.phase}.learning_rate ({self._plan.training.learning_rate:g})"
        self.lost = f"the loss {what}; lower {rate}"
        self.model.stop_training = True
        event("training_stopped", stage=self._plan.phase, reason=self.lost)


def values_of(variables: list[keras.Variable]) -> Arrays:
    """The values that variables have now."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assign(variables: list[keras.Variable], values: Arrays) -> None:
    """Gives variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
