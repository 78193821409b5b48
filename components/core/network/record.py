"""The record: what the frozen part of a network says of each image, computed once and trained on many times."""

import dataclasses
import functools
import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.dataset import read_columns, read_info
from headstart.components.core.logs import tracked
from headstart.components.core.network.images import augmentation, image_batches
from headstart.components.core.network.precision import BFLOAT16, Function, bfloat16_pays, computed_in
from headstart.components.core.network.waiting import waited_for
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

    It goes over to bfloat16 where that pays, unless it is to say the same each time.

    Args:
        front: Resized pixels (n, size, size, 3), 0-255, to activations.
        plan: Its augmentation, seed and determinism.
    """

    def __init__(self, front: keras.Model, plan: Plan) -> None:
        self._front = front
        self._size = front.input.shape[1]
        self._shape = front.output.shape[1:]
        self._signature = [tf.TensorSpec((None, self._size, self._size, 3))]
        augment = augmentation(plan.augmentation, plan.seed)
        self._augment = tf.function(lambda images: augment(images, training=True), self._signature)
        self._precision_is_chosen = plan.deterministic
        self._run: Function = self._function()

    def _function(self) -> tf.types.experimental.PolymorphicFunction:
        limit = np.finfo(np.float16).max

        @functools.partial(tf.function, input_signature=self._signature)
        def run(images: tf.Tensor) -> tf.Tensor:
            values = tf.cast(self._front(images, training=False), tf.float32)
            return tf.cast(tf.clip_by_value(values, -limit, limit), tf.float16)

        return run

    def _choose_precision(self, images: tf.Tensor, runs: int) -> None:
        """Goes over to bfloat16 where that pays for the batches to come, and says nearly the same."""
        self._precision_is_chosen = True

        @functools.cache
        def reduced() -> tf.types.experimental.ConcreteFunction:
            with computed_in(self._front, BFLOAT16):
                return self._function().get_concrete_function()

        if bfloat16_pays(self._run, reduced, images, runs):
            self._run = reduced()

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
            for number, pixels in enumerate(waited_for(batches, what, "decoded images", images)):
                if number == 1 and not self._precision_is_chosen:
                    self._choose_precision(pixels, views * math.ceil((images - start) / _BATCH))
                for view in range(views):
                    seen = self._augment(pixels) if view else pixels
                    file.seek(begin + view * view_bytes + start * view_bytes // images)
                    file.write(self._run(seen).numpy().data)
                start += len(pixels)
        return load_record(path, dataset)


def load_record(path: Path, dataset: Path) -> Record:
    """The record in a file, which stays on disk, with the labels of the dataset that it was made of."""
    return Record(np.load(path, mmap_mode="r"), read_columns(dataset, ["label"])["label"].to_numpy())
