"""Features: activations of the frozen part of a network, computed once per image and trained on many times."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.devices import inference_batch_size
from headstart.components.core.networks.image_batches import build_augmentation, read_image_batches
from headstart.components.core.networks.input_wait import time_input_wait
from headstart.components.core.networks.precision import BFLOAT16, find_faster_precision, use_precision
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.util.logs import track_progress


class SelectedImages:
    """Activations of some of the images of an array, which is not copied.

    Args:
        activations: float16 (views, images, …).
        rows: Rows of the images, (n,).

    Attributes:
        shape: Shape of the selection, (views, n, …).
        nbytes: Bytes of the selection.
    """

    def __init__(self, activations: NDArray[np.float16], rows: NDArray[np.int64]) -> None:
        self._activations = activations
        self._rows = rows
        self.shape = (activations.shape[0], len(rows), *activations.shape[2:])
        self.nbytes = math.prod(self.shape) * activations.itemsize

    def __getitem__(self, index: Any) -> NDArray[np.float16]:
        """Activations by a view, or by views and images of the selection."""
        views, images = index if isinstance(index, tuple) else (index, slice(None))
        return np.asarray(self._activations[views, self._rows[images]])


@dataclasses.dataclass(frozen=True)
class Features:
    """Activations of the frozen part of a network for every image of a dataset.

    Attributes:
        activations: float16 (views, n, …), memory-mapped. View 0 is the plain image, the others are augmented.
        labels: int64 (n,), index of each image's class.
    """

    activations: NDArray[np.float16] | SelectedImages
    labels: NDArray[np.int64]

    @property
    def views(self) -> int:
        """Number of views of each image."""
        return int(self.activations.shape[0])

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.activations.shape[1])

    def select(self, rows: NDArray[np.int64]) -> "Features":
        """Features of some of the images, without a copy.

        Args:
            rows: Rows of the images, (n,).
        """
        assert isinstance(self.activations, np.ndarray)  # noqa: S101 - for the type checker
        return Features(SelectedImages(self.activations, rows), self.labels[rows])


class FeatureExtractor:
    """Runs the frozen part of a network over datasets; it is traced once, however many there are.

    It switches to bfloat16 where that is clearly faster, unless the plan is deterministic.

    Args:
        fronts: Consecutive parts of the network whose outputs are the features. The first takes resized pixels
            (n, size, size, 3), 0-255; each other takes the output of the one before it.
        plan: Augmentation, seed and determinism.
    """

    def __init__(self, fronts: Sequence[keras.Model], plan: Plan) -> None:
        self._fronts = [fold_batchnorm(front) for front in fronts]
        self._size = fronts[0].input.shape[1]
        self._signature = [tf.TensorSpec((None, self._size, self._size, 3))]
        augment = build_augmentation(plan.augmentation, plan.seed)
        self._augment = tf.function(lambda images: augment(images, training=True), self._signature, autograph=False)
        self._precision_is_chosen = plan.deterministic
        self._run: Callable[[tf.Tensor], list[tf.Tensor]] = self._function()

    def _function(self) -> tf.types.experimental.PolymorphicFunction:
        limit = np.finfo(np.float16).max

        @functools.partial(tf.function, input_signature=self._signature, autograph=False)
        def run(images: tf.Tensor) -> list[tf.Tensor]:
            values, all_values = images, []
            for front in self._fronts:
                values = tf.cast(front(values, training=False), tf.float32)
                all_values.append(tf.cast(tf.clip_by_value(values, -limit, limit), tf.float16))
            return all_values

        return run

    def _choose_precision(self, images: tf.Tensor, runs: int) -> None:
        """Switches to bfloat16 if that pays for the batches left and hardly changes the last features."""
        self._precision_is_chosen = True

        @functools.cache
        def reduced() -> tf.types.experimental.ConcreteFunction:
            with contextlib.ExitStack() as stack:
                for front in self._fronts:
                    stack.enter_context(use_precision(front, BFLOAT16))
                return self._function().get_concrete_function()

        def run_last(batch: tf.Tensor) -> tf.Tensor:
            return self._run(batch)[-1]

        if find_faster_precision(run_last, lambda: lambda batch: reduced()(batch)[-1], images, runs) == BFLOAT16:
            self._run = reduced()

    def extract(self, dataset: Path, views: int, paths: Sequence[Path], what: str = "features") -> list[Features]:
        """Computes the features of every image of a dataset, decoding each image once.

        Args:
            dataset: Dataset artifact.
            views: Number of views; the first is the plain image, the others are augmented.
            paths: Files to write the features to, one for each front; float16, two bytes a number.
            what: Name of this phase in the log.

        Returns:
            Features of each front, memory-mapped from its file.

        Raises:
            OSError: If a file cannot be written.
        """
        images, at_once = read_dataset_info(dataset).images, inference_batch_size()
        batches = track_progress(read_image_batches(dataset, self._size, at_once), what, images, len)
        with contextlib.ExitStack() as stack:
            files = [
                _FeatureFile(stack.enter_context(path.open("wb")), (views, images, *front.output.shape[1:]))
                for path, front in zip(paths, self._fronts, strict=True)
            ]
            start = 0
            for number, pixels in enumerate(time_input_wait(batches, what, "decoded images", images)):
                if number == 1 and not self._precision_is_chosen:
                    self._choose_precision(pixels, views * math.ceil((images - start) / at_once))
                for view in range(views):
                    view_pixels = self._augment(pixels) if view else pixels
                    for file, values in zip(files, self._run(view_pixels), strict=True):
                        file.write(view, start, values.numpy())
                start += len(pixels)
        return [load_features(path, dataset) for path in paths]


class _FeatureFile:
    """A .npy file of float16 that is written batch by batch.

    Not a memory map: if the disk is full, writing to a page of one kills the process.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, ...]) -> None:
        header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        self._file, self._start = file, file.tell()
        self._view_bytes, self._image_bytes = (2 * math.prod(shape[axis:]) for axis in (1, 2))

    def write(self, view: int, start: int, values: NDArray[np.float16]) -> None:
        self._file.seek(self._start + view * self._view_bytes + start * self._image_bytes)
        self._file.write(values.data)


def load_features(path: Path, dataset: Path) -> Features:
    """Memory-maps the features in a file, with the labels of the dataset that they were computed from."""
    return Features(np.load(path, mmap_mode="r"), read_columns(dataset, ["label"])["label"].to_numpy())
