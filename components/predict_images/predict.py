"""What a model says of images, batch by batch: decoded, resized and run on all cores, in order, with flat memory."""

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.components.core.artifacts.model import ModelInfo, read_model_info
from headstart.components.core.artifacts.predictions import PROBABILITY
from headstart.components.core.images.decoding import Rejected, decode, resized
from headstart.components.core.metrics.calibration import scaled
from headstart.components.core.networks.start import start_tensorflow, without_garbage_collection
from headstart.components.core.sources import Unreadable
from headstart.components.core.sources.source import shown
from headstart.components.core.util.logs import event
from headstart.components.core.util.resources import cores
from headstart.components.core.util.thread_map import in_order, parts
from headstart.components.predict_images.inputs import Named, fetched
from headstart.components.predict_images.model_location import Located, Trust, trust

if TYPE_CHECKING:
    from headstart.components.core.networks.inference import PredictProba

_BATCH = 16
_FAINT_NAMED = 5
_REMOTE_READERS = 32


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that can be asked.

    Attributes:
        found: Where it is.
        info: What it says of itself.
        trust: How its probabilities are scaled, and from when on they are an answer.
    """

    found: Located
    info: ModelInfo
    trust: Trust

    @property
    def schema(self) -> pa.Schema:
        """Columns of its answers, one row an image.

        `file`; `label`, the likeliest class, null where the image was not read or the model abstains; `abstained`;
        `probability_NAME` (float64) for each class, null where the image was not read; `reason` and `detail` of that.
        """
        return pa.schema(
            [
                ("file", pa.string()),
                ("label", pa.string()),
                ("abstained", pa.bool_()),
                *((f"{PROBABILITY}{name}", pa.float64()) for name in self.info.classes),
                ("reason", pa.string()),
                ("detail", pa.string()),
            ]
        )


def open_model(found: Located, precision: float) -> Model:
    """Reads what there is to know of a model, without its network.

    Args:
        found: Where it is.
        precision: See `trust`.

    Raises:
        HeadstartError: It is incomplete or damaged, or has no such threshold.
    """
    info = read_model_info(found.model)
    return Model(found, info, trust(found, info, precision))


def log_warning(text: str) -> None:
    """Logs what people should look at."""
    event("warning", text=text)


def answers(
    model: Model, images: Iterable[Named], warn: Callable[[str], None] = log_warning
) -> Iterator[pa.RecordBatch]:
    """Asks a model of images.

    A few are not worth the time that it takes to make a graph of the network; it runs layer by layer then.

    Args:
        model: The model.
        images: What to ask it of.
        warn: Told, in words, of the first pictures that are read with hardly any contrast.

    Yields:
        Batches by the model's schema, in the order of the images.

    Raises:
        HeadstartError: Keras cannot read the network.
    """
    with contextlib.ExitStack() as stack:
        batches = parts(stack.enter_context(contextlib.closing(_read_ahead(images))), _BATCH)
        first = list(itertools.islice(batches, 2))
        asking = _Asking(model, _open_network(model.found.model, traced=len(first) > 1), warn)
        pool = stack.enter_context(ThreadPoolExecutor(cores()))
        every = in_order(pool, asking.answer, itertools.chain(first, batches), 2 * cores())
        yield from stack.enter_context(contextlib.closing(every))


def _open_network(folder: Path, *, traced: bool) -> "PredictProba":
    start_tensorflow()
    with without_garbage_collection():
        from headstart.components.core.networks.inference import load_classifier

        return load_classifier(folder, traced=traced)


def _read_ahead(images: Iterable[Named]) -> Generator[Named, None, None]:
    """The same images, those that wait for a network read already."""
    with ThreadPoolExecutor(_REMOTE_READERS) as pool:
        yield from in_order(pool, lambda each: fetched(each) if each.remote else each, images, 2 * _REMOTE_READERS)


class _Asking:
    """A model's network, asked by several threads, by one at a time: it uses all cores, and others decode meanwhile.

    At the same time on two threads, oneDNN's convolutions with what follows them fused in (TensorFlow 2.21) crash the
    process for some networks, `sketchnet` at 32 pixels among them.
    """

    def __init__(self, model: Model, ask: "PredictProba", warn: Callable[[str], None]) -> None:
        self._model = model
        self._warn = warn
        self._faint = itertools.count(1)
        self._ask = ask
        self._free = threading.Lock()

    def answer(self, images: list[Named]) -> pa.RecordBatch:
        pixels = [self._pixels(image) for image in images]
        read = {row: each for row, each in enumerate(pixels) if not isinstance(each, Rejected)}
        found = np.full((len(images), len(self._model.info.classes)), np.nan)
        if read:
            with self._free:
                said = self._ask(np.stack(list(read.values())))
            found[list(read)] = scaled(said, self._model.trust.temperature) if self._model.trust.calibrated else said
        return self._batch(images, pixels, found)

    def _pixels(self, image: Named) -> NDArray[np.float32] | Rejected:
        info = self._model.info
        try:
            decoded = decode(image.load(), info.max_side, info.ranges)
        except Unreadable as error:
            return Rejected(error.reason, error.detail)
        if isinstance(decoded, Rejected):
            return decoded
        if decoded.range and decoded.is_faint() and (number := next(self._faint)) <= _FAINT_NAMED:
            black, white = decoded.range
            more = "; others like it are not named" if number == _FAINT_NAMED else ""
            self._warn(
                f"{image.file} has hardly any contrast, with {black:g} to {white:g} as black to white, the range of "
                f"{decoded.form} here{more}"
            )
        return resized(decoded.pixels, info.image_size)

    def _batch(
        self, images: list[Named], pixels: list[NDArray[np.float32] | Rejected], found: NDArray[np.float64]
    ) -> pa.RecordBatch:
        classes = self._model.info.classes
        rejected = [each if isinstance(each, Rejected) else None for each in pixels]
        sure = found.max(axis=1) >= self._model.trust.threshold
        labels = [classes[label] if known else None for label, known in zip(found.argmax(axis=1), sure, strict=True)]
        columns = [
            pa.array([image.file for image in images], pa.string()),
            pa.array(labels, pa.string()),
            pa.array([not known and each is None for known, each in zip(sure, rejected, strict=True)], pa.bool_()),
            *(pa.array(column, pa.float64(), from_pandas=True) for column in found.T),
            pa.array([each and each.reason for each in rejected], pa.string()),
            pa.array([each and shown(each.detail) for each in rejected], pa.string()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._model.schema)
