"""Callback that logs how long training waited for its input."""

import time

import keras

from headstart.components.core.networks.input_wait import log_input_wait
from headstart.components.core.training.batches import TrainingBatches


class InputWaitLogger(keras.callbacks.Callback):
    """Logs at the end of training how long its steps waited for their batches.

    Args:
        phase: Name of the training phase, for the log.
        batches: Training batches, which know when each was ready.
    """

    def __init__(self, phase: str, batches: TrainingBatches) -> None:
        super().__init__()
        self._phase = phase
        self._batches = batches
        self._images = 0
        self._seconds = self._waited = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the step's duration, and the part of it before its batch was ready."""
        now = time.monotonic()
        self._seconds += now - self._began
        self._waited += max(0.0, min(now, self._batches.ready_at[batch]) - self._began)
        self._images += self._batches.batch_size

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Logs the totals."""
        log_input_wait(self._phase, "record", self._images, self._seconds, self._waited)
