"""Predictions of a classifier, batch by batch: decoded, resized and run on all cores, in order, with flat memory."""

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.predictions import PROBABILITY
from headstart.components.core.artifacts.reference import ReferenceFeatures
from headstart.components.core.images.decoding import RejectedImage, decode_image, resize_pixels
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.metrics.unfamiliarity import compute_unfamiliarity, flag_unfamiliar
from headstart.components.core.networks.start import start_tensorflow, without_garbage_collection
from headstart.components.core.sources import Unreadable
from headstart.components.core.sources.file_names import escape_text
from headstart.components.core.util.logs import event, track_progress
from headstart.components.core.util.resources import available_cores
from headstart.components.core.util.thread_map import batched, map_ordered
from headstart.components.predict_images.applied_calibration import AppliedCalibration
from headstart.components.predict_images.named_images import NamedImage, load_into_memory

if TYPE_CHECKING:
    from headstart.components.core.networks.inference import Predict

UNCERTAIN, UNFAMILIAR = "uncertain", "unfamiliar"
"""Reasons for abstaining: the probability is below the threshold; the image is unlike the training images."""

LoadNetwork = Callable[[Path, bool], "Predict"]
"""Function that loads the network of a model artifact, compiled to a graph or not: see `load_network`."""

_BATCH = 16
_LOW_CONTRAST_WARNINGS = 5
_REMOTE_READERS = 32


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A model whose manifest and calibration have been read; its network is loaded by `predict`.

    Attributes:
        folder: Folder of the model artifact.
        info: Content of its `model.json`.
        calibration: Temperature and thresholds for its probabilities and unfamiliarities.
        reference: Reference features; None: an earlier version trained the model.
    """

    folder: Path
    info: ModelInfo
    calibration: AppliedCalibration
    reference: ReferenceFeatures | None = None

    @property
    def schema(self) -> pa.Schema:
        """Columns of the predictions, one row an image.

        `file`; `label`, the likeliest class, null if the image is unreadable or the model abstains; `abstained`;
        `probability_NAME` (float64) for each class, null if the image is unreadable; `reason` and `detail` of that;
        `unfamiliarity` (float64, 0 to 2), null without reference features; `unfamiliar`, whether that is above the
        threshold, null without one; `abstention`, why the model abstains: `UNCERTAIN` or `UNFAMILIAR`.
        """
        return pa.schema(
            [
                ("file", pa.string()),
                ("label", pa.string()),
                ("abstained", pa.bool_()),
                *((f"{PROBABILITY}{name}", pa.float64()) for name in self.info.classes),
                ("reason", pa.string()),
                ("detail", pa.string()),
                ("unfamiliarity", pa.float64()),
                ("unfamiliar", pa.bool_()),
                ("abstention", pa.string()),
            ]
        )


def log_warning(text: str) -> None:
    """Logs a warning for the user."""
    event("warning", text=text)


def predict(
    model: OpenedModel,
    images: Iterable[NamedImage],
    warn: Callable[[str], None] = log_warning,
    total: int = 0,
    load: "LoadNetwork | None" = None,
) -> Iterator[pa.RecordBatch]:
    """Loads a model's network and predicts images.

    Few images are run layer by layer, as compiling the network into a graph would take longer.

    Args:
        model: The model.
        images: Images to predict; read as they are needed.
        warn: Function that gets a warning for the first images with hardly any contrast.
        total: Number of images, for the progress in the log; 0: unknown.
        load: Function that loads the network; None: `load_network`.

    Yields:
        Batches with the columns of `OpenedModel.schema`, in the order of the images.

    Raises:
        HeadstartError: If Keras cannot load the network.
    """
    with contextlib.ExitStack() as stack:
        batches = batched(stack.enter_context(contextlib.closing(_read_ahead(images))), _BATCH)
        first = list(itertools.islice(batches, 2))
        predictor = Predictor(model, (load or load_network)(model.folder, len(first) > 1), warn)
        pool = stack.enter_context(ThreadPoolExecutor(available_cores()))
        every = map_ordered(pool, predictor.predict_batch, itertools.chain(first, batches), 2 * available_cores())
        yield from track_progress(stack.enter_context(contextlib.closing(every)), "predictions", total, len)


def load_network(folder: Path, traced: bool) -> "Predict":
    """Starts TensorFlow and loads the network of a model artifact for predictions.

    Args:
        folder: Model artifact.
        traced: True to compile the network to a graph, see `load_classifier`.

    Raises:
        HeadstartError: If Keras cannot load the network.
    """
    start_tensorflow()
    with without_garbage_collection():
        from headstart.components.core.networks.inference import load_classifier

        return load_classifier(folder, traced=traced)


def _read_ahead(images: Iterable[NamedImage]) -> Generator[NamedImage, None, None]:
    """Yields the same images; remote ones are read beforehand on several threads."""
    with ThreadPoolExecutor(_REMOTE_READERS) as pool:
        yield from map_ordered(
            pool, lambda each: load_into_memory(each) if each.remote else each, images, 2 * _REMOTE_READERS
        )


class Predictor:
    """A model's network, shared by threads that decode in parallel and run it one at a time, as it uses all cores.

    On two threads at once, oneDNN's convolutions with fused operations (TensorFlow 2.21) crash the process for some
    networks, `sketchnet` at 32 pixels among them.

    Args:
        model: The model.
        network: Its network, see `load_network`.
        warn: Function that gets a warning for the first images with hardly any contrast.
    """

    def __init__(self, model: OpenedModel, network: "Predict", warn: Callable[[str], None] = log_warning) -> None:
        self._model = model
        self._warn = warn
        self._low_contrast = itertools.count(1)
        self._network = network
        self._lock = threading.Lock()

    def predict_batch(self, images: list[NamedImage]) -> pa.RecordBatch:
        """Decodes and predicts images, see `predict_decoded`."""
        return self.predict_decoded([image.file for image in images], [self.decode(image) for image in images])

    def predict_decoded(
        self, files: list[str], pixels: Sequence[NDArray[np.float32] | RejectedImage]
    ) -> pa.RecordBatch:
        """Predicts images that are decoded already.

        Args:
            files: Name of each image.
            pixels: What `decode` returned for each.

        Returns:
            Columns of `OpenedModel.schema`, in the order of the images.
        """
        read = {row: each for row, each in enumerate(pixels) if not isinstance(each, RejectedImage)}
        probabilities = np.full((len(pixels), len(self._model.info.classes)), np.nan)
        unfamiliarity = np.full(len(pixels), np.nan)
        if read:
            with self._lock:
                predicted, features = self._network(np.stack(list(read.values())))
            calibration = self._model.calibration
            if self._model.reference:
                unfamiliarity[list(read)] = compute_unfamiliarity(features, self._model.reference)
            probabilities[list(read)] = (
                apply_temperature(predicted, calibration.temperature) if calibration.calibrated else predicted
            )
        return self._batch(files, pixels, probabilities, unfamiliarity)

    def decode(self, image: NamedImage) -> NDArray[np.float32] | RejectedImage:
        """Reads an image and resizes it to the model's size; on any number of threads at once.

        Returns:
            float32 (size, size, 3), RGB 0-255, or the reason why it is unreadable.
        """
        info = self._model.info
        try:
            decoded = decode_image(image.load(), info.max_side, info.ranges)
        except Unreadable as error:
            return RejectedImage(error.reason, error.detail)
        if isinstance(decoded, RejectedImage):
            return decoded
        if decoded.range and decoded.is_faint():
            self._warn_of_low_contrast(image, decoded.range, decoded.form)
        return resize_pixels(decoded.pixels, info.image_size)

    def _warn_of_low_contrast(self, image: NamedImage, value_range: tuple[float, float], form: str) -> None:
        number = next(self._low_contrast)
        if number <= _LOW_CONTRAST_WARNINGS:
            black, white = value_range
            more = "; others like it are not named" if number == _LOW_CONTRAST_WARNINGS else ""
            self._warn(
                f"{image.file} has hardly any contrast, with {black:g} to {white:g} as black to white, the range of "
                f"{form} here{more}"
            )

    def _batch(
        self,
        files: list[str],
        pixels: Sequence[NDArray[np.float32] | RejectedImage],
        probabilities: NDArray[np.float64],
        unfamiliarity: NDArray[np.float64],
    ) -> pa.RecordBatch:
        classes, calibration = self._model.info.classes, self._model.calibration
        rejected = [each if isinstance(each, RejectedImage) else None for each in pixels]
        sure = probabilities.max(axis=1) >= calibration.threshold
        threshold = calibration.unfamiliarity
        unfamiliar = [
            None if threshold is None or each is not None else bool(flag)
            for each, flag in zip(
                rejected, flag_unfamiliar(unfamiliarity, threshold.threshold if threshold else 0.0), strict=True
            )
        ]
        abstentions = [
            None if each is not None else _find_reason(bool(known), bool(strange), calibration.precision)
            for each, known, strange in zip(rejected, sure, unfamiliar, strict=True)
        ]
        labels = [
            classes[label] if each is None and reason is None else None
            for each, reason, label in zip(rejected, abstentions, probabilities.argmax(axis=1), strict=True)
        ]
        columns = [
            pa.array(files, pa.string()),
            pa.array(labels, pa.string()),
            pa.array([reason is not None for reason in abstentions], pa.bool_()),
            *(pa.array(column, pa.float64(), from_pandas=True) for column in probabilities.T),
            pa.array([each and each.reason for each in rejected], pa.string()),
            pa.array([each and escape_text(each.detail) for each in rejected], pa.string()),
            pa.array(unfamiliarity, pa.float64(), from_pandas=True),
            pa.array(unfamiliar, pa.bool_()),
            pa.array(abstentions, pa.string()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._model.schema)


def _find_reason(sure: bool, unfamiliar: bool, precision: float) -> str | None:
    """Why the model abstains; None where it does not. Without a wanted precision every image gets a label."""
    if not precision:
        return None
    return UNFAMILIAR if unfamiliar else None if sure else UNCERTAIN
