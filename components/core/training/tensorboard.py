"""TensorBoard event files of training, with the names that Keras' own callback gives its scalars."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.storage.atomic import make_empty_folder

TRAIN_RUN, VALIDATION_RUN = "train", "validation"

_FILE = "events.out.tfevents.headstart"
_VERSION = "brain.Event:2"


def write_event_files(folder: Path, phase: str, epochs: list[Epoch]) -> None:
    """Writes event files of training and of validation into the folder of a phase, which is created anew.

    An event file is a TFRecord file of `Event` messages. Writing these needs no installed TensorBoard, unlike
    `tf.summary.scalar`, and gives each scalar the time at which it was measured, as if training ended now.

    Args:
        folder: Folder that receives `PHASE/train` and `PHASE/validation`. The first has the scalars of steps
            (``batch_loss``, ``batch_accuracy``, ``batch_learning_rate``) and of epochs (``epoch_loss``,
            ``epoch_accuracy``), the second only the latter. Steps and epochs count from 1.
        phase: Training phase.
        epochs: Epochs of the phase; may be empty.
    """
    began = time.time() - sum(epoch.seconds for epoch in epochs)
    for run, events in ((TRAIN_RUN, _training(epochs, began)), (VALIDATION_RUN, _validation(epochs, began))):
        path = make_empty_folder(folder / phase / run) / _FILE
        with tf.io.TFRecordWriter(str(path)) as file:
            file.write(tf.compat.v1.Event(wall_time=began, file_version=_VERSION).SerializeToString())
            for event in events:
                file.write(event.SerializeToString())


def _training(epochs: list[Epoch], began: float) -> Iterator[Any]:
    number = itertools.count(1)
    for epoch in epochs:
        for done, step in enumerate(epoch.steps, start=1):
            yield _event(
                began + epoch.seconds * done / len(epoch.steps),
                next(number),
                batch_loss=step.loss,
                batch_accuracy=step.accuracy,
                batch_learning_rate=step.learning_rate,
            )
        began += epoch.seconds
        yield _event(began, epoch.epoch, epoch_loss=epoch.loss, epoch_accuracy=epoch.accuracy)


def _validation(epochs: list[Epoch], began: float) -> Iterator[Any]:
    for epoch in epochs:
        began += epoch.seconds
        values = {"epoch_loss": epoch.validation_loss, "epoch_accuracy": epoch.validation_accuracy}
        yield _event(began, epoch.epoch, **values)


def _event(wall_time: float, step: int, **scalars: float) -> Any:
    values = [tf.compat.v1.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
    return tf.compat.v1.Event(wall_time=wall_time, step=step, summary=tf.compat.v1.Summary(value=values))
