"""What each step of training is like."""

import keras

from headstart.components.core.artifacts.history import Step
from headstart.components.core.training.batches import TrainingBatches
from headstart.components.core.training.optimizers import Schedule, learning_rates


class Steps(keras.callbacks.Callback):
    """Has the batches of each epoch drawn, and takes note of every step of the present one.

    Keras tells means over the epoch so far: what a step has added to them is its own. So none is computed twice, and
    nothing more is fetched from where it is computed.

    Args:
        schedule: Of the learning rate.
        steps: In all epochs.
        batches: What is trained on.

    Attributes:
        made: Those of the present epoch, in order.
    """

    def __init__(self, schedule: Schedule, steps: int, batches: TrainingBatches) -> None:
        super().__init__()
        self.made: list[Step] = []
        self._schedule = schedule
        self._steps = steps
        self._batches = batches

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Works out the learning rate of every step."""
        self._rates = learning_rates(self._schedule, self._steps)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Begins anew."""
        self._batches.draw(epoch)
        self.made = []
        self._first = epoch * len(self._batches)
        self._images, self._loss, self._right = 0, 0.0, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Takes the sums up to here, and what they were before."""
        logs = logs or {}
        images = self._batches.images_until(batch)
        loss, right = logs["loss"] * images, round(logs["accuracy"] * images)
        new = images - self._images
        values = self._rates[self._first + batch], (loss - self._loss) / new, (right - self._right) / new
        self.made.append(Step(*(float(f"{value:.6g}") for value in values)))
        self._images, self._loss, self._right = images, loss, right
