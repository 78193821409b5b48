"""The record: what the frozen part of a network says of each image, computed once and trained on many times."""

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.dataset import read_columns, read_info
from headstart.components.core.logs import tracked
from headstart.components.core.network.images import augmentation, image_batches
from headstart.components.core.plan import Plan

_BATCH = 64
_PLAIN_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Record:
    """Recorded activations.

    Attributes:
        activations: float16 (views, n, …), on disk. View 0 is the plain image, the others are augmented.
        labels: int64 (n,).
    """

    activations: NDArray[np.float16]
    labels: NDArray[np.int64]

    @property
    def views(self) -> int:
        """Views of each image."""
        return int(self.activations.shape[0])

    @property
    def images(self) -> int:
        """Images."""
        return int(self.activations.shape[1])


def record(front: keras.Model, dataset: Path, size: int, views: int, seed: int, path: Path) -> Record:
    """Runs `front` over every image of a dataset, `views` times, decoding each image once.

    Args:
        front: Resized pixels (n, size, size, 3), 0-255, to activations.
        dataset: A dataset artifact.
        size: Side of the resized pixels.
        views: 1: plain images only; N: N - 1 augmented views besides.
        seed: Of the augmentation.
        path: The file to keep the record in; float16, so it takes two bytes a number.
    """
    info = read_info(dataset)
    shape = (views, info.images, *front.output.shape[1:])
    activations = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    augment = augmentation(seed)
    limit = np.finfo(np.float16).max

    @tf.function(reduce_retracing=True)
    def run(pixels: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.clip_by_value(front(pixels, training=False), -limit, limit), tf.float16)

    @tf.function(reduce_retracing=True)
    def run_augmented(pixels: tf.Tensor) -> tf.Tensor:
        return run(augment(pixels, training=True))

    start = 0
    batches = image_batches(dataset, size, _BATCH)
    for pixels in tracked(batches, f"record {path.stem}", math.ceil(info.images / _BATCH)):
        stop = start + len(pixels)
        activations[0, start:stop] = run(pixels).numpy()
        for view in range(1, views):
            activations[view, start:stop] = run_augmented(pixels).numpy()
        start = stop
    labels = read_columns(dataset, ["label"])["label"].to_numpy()
    return Record(activations, labels)


@contextlib.contextmanager
def recorded(
    front: keras.Model, train: Path, validation: Path, size: int, plan: Plan
) -> Iterator[tuple[Record, Record]]:
    """Records a training set in the plan's views and a validation set in one; both vanish at the block's end."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        yield (
            record(front, train, size, plan.augmented_views, plan.seed, Path(folder) / "train.npy"),
            record(front, validation, size, 1, plan.seed, Path(folder) / "validation.npy"),
        )


class TrainingBatches(keras.utils.PyDataset):
    """Shuffled training batches from a record: each epoch shows each image once, in a view drawn at random.

    Args:
        record: What to draw from.
        batch: Images a batch.
        seed: Of the order and of the views.
    """

    def __init__(self, record: Record, batch: int, seed: int) -> None:
        super().__init__()
        self._record = record
        self._batch = batch
        self._random = np.random.default_rng(seed)
        self._draw()

    def __len__(self) -> int:
        return math.ceil(self._record.images / self._batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        images = self._order[index * self._batch : (index + 1) * self._batch]
        return (
            self._record.activations[self._views[images], images].astype(np.float32),
            self._record.labels[images],
        )

    def on_epoch_end(self) -> None:
        """Draws a new order and new views."""
        self._draw()

    def _draw(self) -> None:
        self._order = self._random.permutation(self._record.images)
        self._views = self._random.integers(self._record.views, size=self._record.images)


class PlainBatches(keras.utils.PyDataset):
    """The plain views of a record, in order."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    def __len__(self) -> int:
        return math.ceil(self._record.images / _PLAIN_BATCH)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        images = slice(index * _PLAIN_BATCH, (index + 1) * _PLAIN_BATCH)
        return self._record.activations[0, images].astype(np.float32), self._record.labels[images]
