"""The record: what the frozen part of a network says of each image, computed once and trained on many times."""

import dataclasses
import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.dataset import read_columns, read_info
from headstart.components.core.logs import tracked
from headstart.components.core.network.images import augmentation, image_batches

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


class Recorder:
    """Runs the frozen part of a network over datasets; it is traced once, whatever their number.

    Args:
        front: Resized pixels (n, size, size, 3), 0-255, to activations.
        seed: Of the augmentation.
    """

    def __init__(self, front: keras.Model, seed: int) -> None:
        limit = np.finfo(np.float16).max
        augment = augmentation(seed)
        self._size = front.input.shape[1]
        self._shape = front.output.shape[1:]
        pixels = tf.TensorSpec((None, self._size, self._size, 3))

        @tf.function(input_signature=[pixels])
        def plain(images: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.clip_by_value(front(images, training=False), -limit, limit), tf.float16)

        @tf.function(input_signature=[pixels])
        def augmented(images: tf.Tensor) -> tf.Tensor:
            return plain(augment(images, training=True))

        self._plain, self._augmented = plain, augmented

    def record(self, dataset: Path, views: int, path: Path, what: str = "record") -> Record:
        """Records every image of a dataset, decoding each once.

        Args:
            dataset: A dataset artifact.
            views: 1: plain images only; N: N - 1 augmented views besides.
            path: The file to keep the record in; float16, so it takes two bytes a number.
            what: Name of the work in the log.

        Raises:
            OSError: The file cannot be written.
        """
        images = read_info(dataset).images
        shape = (views, images, *self._shape)
        batches = tracked(image_batches(dataset, self._size, _BATCH), what, math.ceil(images / _BATCH))
        # Written as a file, since a page of a memory map that finds no room on the disk ends the process.
        with path.open("wb") as file:
            header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            begin, view_bytes, start = file.tell(), 2 * images * math.prod(self._shape), 0
            for pixels in batches:
                for view in range(views):
                    run = self._augmented if view else self._plain
                    file.seek(begin + view * view_bytes + start * view_bytes // images)
                    file.write(run(pixels).numpy().data)
                start += len(pixels)
        return load_record(path, dataset)


def load_record(path: Path, dataset: Path) -> Record:
    """The record in a file, which stays on disk, with the labels of the dataset that it was made of."""
    return Record(np.load(path, mmap_mode="r"), read_columns(dataset, ["label"])["label"].to_numpy())


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
