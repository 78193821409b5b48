"""Time that a network waits for its input."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from headstart.components.core.util.logs import event

T = TypeVar("T")


def time_input_wait(batches: Iterable[T], stage: str, source: str, images: int) -> Iterator[T]:
    """Passes batches on and logs at the end how long their consumer waited for them.

    Args:
        batches: Batches to pass on.
        stage: Name of the work in the log.
        source: Name of the input in the log.
        images: Number of images in all batches.
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
    log_input_wait(stage, source, images, time.monotonic() - started, waited)


def log_input_wait(stage: str, source: str, images: int, seconds: float, waited: float) -> None:
    """Logs throughput and the share of time that was spent waiting for input.

    Args:
        stage: Name of the work in the log.
        source: Name of the input in the log.
        images: Number of images processed.
        seconds: Duration in seconds, waiting included.
        waited: Seconds of it that were spent waiting.
    """
    seconds = max(seconds, np.finfo(float).eps)
    event("waiting", stage=stage, images_per_second=images / seconds, waited=waited / seconds, waited_for=source)
