"""Callback that records learning rate, loss and accuracy of every training step."""

import keras

from headstart.components.core.artifacts.history import Step
from headstart.components.core.training.batches import TrainingBatches
from headstart.components.core.training.optimizers import Schedule, compute_learning_rates


class StepHistory(keras.callbacks.Callback):
    """Draws the batches of each epoch and records the epoch's steps.

    Keras reports means over the epoch so far; a step's own values are what it adds to them. Nothing is computed twice
    and nothing more is fetched from the device.

    Args:
        schedule: Learning rate or its schedule.
        total: Number of steps in all epochs.
        batches: Training batches.

    Attributes:
        steps: Steps of the present epoch, in order.
    """

    def __init__(self, schedule: Schedule, total: int, batches: TrainingBatches) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._schedule = schedule
        self._total = total
        self._batches = batches

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch."""
        return len(self._batches)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Computes the learning rate of every step."""
        self._rates = compute_learning_rates(self._schedule, self._total)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Draws the batches of the epoch."""
        self._batches.draw_epoch(epoch)
        self.steps = []
        self._first = epoch * len(self._batches)
        self._images, self._loss, self._correct = 0, 0.0, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Records the step: the sums up to here less those before it."""
        logs = logs or {}
        images = self._batches.images_until(batch)
        loss, correct = logs["loss"] * images, round(logs["accuracy"] * images)
        new = images - self._images
        values = self._rates[self._first + batch], (loss - self._loss) / new, (correct - self._correct) / new
        self.steps.append(Step(*(float(f"{value:.6g}") for value in values)))
        self._images, self._loss, self._correct = images, loss, correct
