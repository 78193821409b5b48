"""The record: what the frozen part of a network says of each image, computed once and trained on many times."""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.dataset import read_columns, read_info
from headstart.components.core.logs import event, tracked
from headstart.components.core.network.images import augmentation, image_batches
from headstart.components.core.network.precision import in_bfloat16
from headstart.components.core.network.waiting import waited_for
from headstart.components.core.plan import Plan

_BATCH = 64

# Building and tracing the copy takes some seconds; the gain has to show through the noise of one batch each.
_SECONDS_WORTH_A_TRIAL = 30.0
_GAIN = 1.3
_HARMLESS = 0.01
"""Largest error of bfloat16, relative, root mean square; float16, in which records are kept, makes 0.0003."""


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
        self._front = front
        self._augment = augmentation(plan.augmentation, plan.seed)
        self._size = front.input.shape[1]
        self._shape = front.output.shape[1:]
        self._precision_is_chosen = False
        self._plain, self._augmented = self._functions(front)

    def _functions(self, front: keras.Model) -> tuple[tf.types.experimental.PolymorphicFunction, ...]:
        limit = np.finfo(np.float16).max
        pixels = tf.TensorSpec((None, self._size, self._size, 3))

        @tf.function(input_signature=[pixels])
        def plain(images: tf.Tensor) -> tf.Tensor:
            values = tf.cast(front(images, training=False), tf.float32)
            return tf.cast(tf.clip_by_value(values, -limit, limit), tf.float16)

        @tf.function(input_signature=[pixels])
        def augmented(images: tf.Tensor) -> tf.Tensor:
            return plain(self._augment(images, training=True))

        return plain, augmented

    def _choose_precision(self, images: tf.Tensor, runs: int) -> None:
        """Goes over to bfloat16 where that pays for the batches to come, and says nearly the same."""
        self._precision_is_chosen = True
        seconds, values = _timed(self._plain, images)
        if seconds * runs < _SECONDS_WORTH_A_TRIAL:
            return
        functions = self._functions(in_bfloat16(self._front))
        functions[0](images)
        tried, others = _timed(functions[0], images)
        error = float(
            np.sqrt(np.square(others - values).mean() / max(np.square(values).mean(), np.finfo(float).tiny))
        )
        pays = tried * _GAIN < seconds and error < _HARMLESS
        event(
            "precision",
            chosen="bfloat16" if pays else "float32",
            float32_images_per_second=len(images) / seconds,
            bfloat16_images_per_second=len(images) / tried,
            relative_error=error,
        )
        if pays:
            self._plain, self._augmented = functions

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
                    run = self._augmented if view else self._plain
                    file.seek(begin + view * view_bytes + start * view_bytes // images)
                    file.write(run(pixels).numpy().data)
                start += len(pixels)
        return load_record(path, dataset)


def _timed(run: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tuple[float, NDArray[np.float32]]:
    started = time.perf_counter()
    values = run(images).numpy()
    return time.perf_counter() - started, values.astype(np.float32)


def load_record(path: Path, dataset: Path) -> Record:
    """The record in a file, which stays on disk, with the labels of the dataset that it was made of."""
    return Record(np.load(path, mmap_mode="r"), read_columns(dataset, ["label"])["label"].to_numpy())
