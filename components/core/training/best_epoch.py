"""Callback that keeps the best epoch, and stops early on a plateau or a loss that is not finite."""

import time

import keras
import numpy as np

from headstart.components.core.artifacts.history import Epoch, best_epoch
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.checkpoint import TrainingState
from headstart.components.core.training.fold_choice import FoldChoice
from headstart.components.core.training.step_history import StepHistory
from headstart.components.core.training.variables import Arrays, get_values
from headstart.components.core.util.logs import event, log_progress

_SECONDS_BETWEEN_PROGRESS_LINES = 1.0


class BestEpoch(keras.callbacks.Callback):
    """Logs each epoch, keeps the best one's weights, and stops on a plateau or a loss that is not finite.

    Args:
        plan: Hyperparameters and seed of this training phase.
        steps: History of the present epoch's steps.
        state: Training state to resume from; None: training starts from the beginning.
        choice: Choice of a cross-validation in place of validation images: the last of its epochs counts as the best,
            and the figures are those of its folds. None: validation images choose.

    Attributes:
        epochs: Epochs so far.
        weights: Trainable variables after the best epoch; before the first epoch, their initial values.
        failure: Message that the loss was not finite, with the way out; empty: the loss was finite so far.
    """

    def __init__(
        self, plan: Plan, steps: StepHistory, state: TrainingState | None = None, choice: FoldChoice | None = None
    ) -> None:
        super().__init__()
        self.epochs: list[Epoch] = list(state.epochs) if state else []
        self.weights: Arrays = state.best if state else []
        self._plan = plan
        self._steps = steps
        self._choice = choice
        self.failure = ""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keeps the initial weights, unless training resumes."""
        if not self.epochs:
            self.weights = get_values(self.model.trainable_variables)
        self._log_progress()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._started = self._reported = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stops if the loss is not finite, and logs progress about once a second."""
        if not self.failure and not np.isfinite((logs or {})["loss"]):
            self._stop(f"is not finite after step {batch + 1} of epoch {len(self.epochs) + 1}")
        if time.monotonic() - self._reported >= _SECONDS_BETWEEN_PROGRESS_LINES:
            self._reported = time.monotonic()
            self._log_progress(step=batch + 1, steps=self._steps.steps_per_epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Logs the epoch, keeps its weights if it is the best, and stops on a plateau."""
        logs = logs or {}
        loss = logs["loss"]
        if self._choice:
            validation_loss, validation_accuracy = self._choice.losses[epoch], self._choice.accuracies[epoch]
        else:
            validation_loss, validation_accuracy = logs["val_loss"], logs["val_accuracy"]
        if not self.failure and not np.isfinite([loss, validation_loss]).all():
            self._stop(f"on validation images is not finite after epoch {epoch + 1}")
        if self.failure:
            return
        done = Epoch(
            stage=self._plan.phase,
            epoch=epoch + 1,
            seconds=time.monotonic() - self._started,
            learning_rate=self._steps.steps[-1].learning_rate,
            loss=float(loss),
            accuracy=float(logs["accuracy"]),
            validation_loss=float(validation_loss),
            validation_accuracy=float(validation_accuracy),
            steps=tuple(self._steps.steps),
        )
        self.epochs.append(done)
        epochs_since_best = 0 if self._choice else done.epoch - best_epoch(self.epochs).epoch
        if epochs_since_best == 0:
            self.weights = get_values(self.model.trainable_variables)
        elif epochs_since_best == self._plan.training.patience:
            self.model.stop_training = True
        self._log_progress()

    def _log_progress(self, **fields: float) -> None:
        """Logs the number of finished epochs, with the figures of the last one."""
        for last in self.epochs[-1:]:
            fields |= {
                "loss": last.loss,
                "validation_loss": last.validation_loss,
                "validation_accuracy": last.validation_accuracy,
            }
        total = self._choice.epochs if self._choice else self._plan.training.epochs
        log_progress(self._plan.phase, len(self.epochs), total, unit="epochs", **fields)

    def _stop(self, problem: str) -> None:
        """Stops training; the best epoch so far is the result."""
        rate = f"{self._plan.phase}.learning_rate ({self._plan.training.learning_rate:g})"
        self.failure = f"the loss {problem}; lower {rate}"
        self.model.stop_training = True
        event("training_stopped", stage=self._plan.phase, reason=self.failure)
