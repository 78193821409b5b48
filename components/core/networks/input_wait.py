"""How long the network waited for its input."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import keras
import numpy as np

from headstart.components.core.util.logs import event

if TYPE_CHECKING:
    from headstart.components.core.training.batches import TrainingBatches

T = TypeVar("T")


def waited_for(batches: Iterable[T], stage: str, source: str, images: int) -> Iterator[T]:
    """Passes batches on, and logs in the end how long whoever takes them had to wait for them.

    Args:
        batches: What is taken.
        stage: What they are taken for, for the log.
        source: What is waited for.
        images: In all batches.
    """
    started, waited = time.monotonic(), 0.0
    batches = iter(batches)
    while True:
        asked = time.monotonic()
        try:
            batch = next(batches)
        except StopIteration:
            break
        waited += time.monotonic() - asked
        yield batch
    _log(stage, source, images, time.monotonic() - started, waited)


class Waiting(keras.callbacks.Callback):
    """Logs at the end of training how long its steps had to wait until their batches were put together.

    Args:
        stage: What is trained, for the log.
        batches: What it is trained on.
    """

    def __init__(self, stage: str, batches: "TrainingBatches") -> None:
        super().__init__()
        self._stage = stage
        self._batches = batches
        self._images = 0
        self._seconds = self._waited = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the clock."""
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Adds up what the step took, and how much of it passed before its batch was there."""
        now = time.monotonic()
        self._seconds += now - self._began
        self._waited += max(0.0, min(now, self._batches.ready[batch]) - self._began)
        self._images += self._batches.batch_size

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Logs."""
        _log(self._stage, "record", self._images, self._seconds, self._waited)


def _log(stage: str, source: str, images: int, seconds: float, waited: float) -> None:
    seconds = max(seconds, np.finfo(float).eps)
    event("waiting", stage=stage, images_per_second=images / seconds, waited=waited / seconds, waited_for=source)
