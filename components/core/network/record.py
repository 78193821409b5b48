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
from headstart.components.core.plan import Plan

_BATCH = 64


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
        plan: Its augmentation and seed.
    """

    def __init__(self, front: keras.Model, plan: Plan) -> None:
        limit = np.finfo(np.float16).max
        augment = augmentation(plan.augmentation, plan.seed)
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
